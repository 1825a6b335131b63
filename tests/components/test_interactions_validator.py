from pathlib import Path

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2
from tfx.types import artifact_utils, channel_utils, standard_artifacts

from components.interactions_validator import (
    InteractionsValidator,
    InteractionsValidatorExecutor,
    tighten_schema,
)

GOOD = {
    "user_id": [["u"], ["v"]],
    "item_id": [["i"], ["i"]],
    "timestamp": [[1_700_000_000], [1_700_000_001]],
    "arrival": [[0], [1]],
}


def make_statistics(features: dict) -> statistics_pb2.DatasetFeatureStatisticsList:
    batch = pa.RecordBatch.from_arrays(
        [pa.array(values) for values in features.values()], names=list(features)
    )
    return stats_impl.generate_statistics_in_memory(batch)


def run_executor(directory: Path, features: dict) -> anomalies_pb2.Anomalies:
    """Validates as in a run; an error leaves the anomalies on disk."""
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri, statistics.split_names = str(directory / "statistics"), '["all"]'
    proto = make_statistics(features)
    stats_dir = Path(artifact_utils.get_split_uri([statistics], "all"))
    stats_dir.mkdir(parents=True)
    (stats_dir / "FeatureStats.pb").write_bytes(proto.SerializeToString())
    schema = standard_artifacts.Schema()
    schema.uri = str(directory / "schema")
    Path(schema.uri).mkdir()
    tfdv.write_schema_text(tfdv.infer_schema(proto), str(directory / "schema" / "schema.pbtxt"))
    anomalies = standard_artifacts.ExampleAnomalies()
    anomalies.uri = str(directory / "anomalies")
    InteractionsValidatorExecutor().Do(
        {"statistics": [statistics], "schema": [schema]},
        {"anomalies": [anomalies]},
        {"exclude_splits": "[]"},
    )
    return read_anomalies(directory)


def read_anomalies(directory: Path) -> anomalies_pb2.Anomalies:
    content = (directory / "anomalies" / "Split-all" / "SchemaDiff.pb").read_bytes()
    return anomalies_pb2.Anomalies.FromString(content)


def test_interactions_pass(tmp_path: Path) -> None:
    assert not run_executor(tmp_path, GOOD).anomaly_info


@pytest.mark.parametrize(
    ("broken", "feature"),
    [
        ({"user_id": [["u"], None]}, "user_id"),
        ({"item_id": [["i", "j"], ["i"]]}, "item_id"),
        ({"timestamp": [[1.5], [2.5]]}, "timestamp"),
        ({"item_id": [[3], [4]]}, "item_id"),
        ({"timestamp": [[1_700_000_000], [1_700_000_000_000]]}, "timestamp"),
    ],
)
def test_a_broken_contract_is_an_anomaly_and_an_error(
    tmp_path: Path, broken: dict, feature: str
) -> None:
    with pytest.raises(ValueError, match=f"Received: `{feature}`: ") as caught:
        run_executor(tmp_path, {**GOOD, **broken})
    assert list(read_anomalies(tmp_path).anomaly_info) == [feature]
    assert "\n" not in str(caught.value)


def test_a_missing_feature_is_an_anomaly(tmp_path: Path) -> None:
    features = {name: values for name, values in GOOD.items() if name != "timestamp"}
    with pytest.raises(ValueError, match="`timestamp`"):
        run_executor(tmp_path, features)


@pytest.mark.parametrize(
    "times",
    [
        [-5, 1_700_000_000_000],
        [1_700_000_000_000, 1_700_000_000_001],
        [0, 10**12],
        [5, 5],
    ],
)
def test_any_one_unit_of_time_passes(tmp_path: Path, times: list[int]) -> None:
    assert not run_executor(
        tmp_path, {**GOOD, "timestamp": [[time] for time in times]}
    ).anomaly_info


def test_a_tightened_schema_leaves_other_features_and_the_original_alone() -> None:
    schema = schema_pb2.Schema()
    schema.feature.add(name="extra", type=schema_pb2.FLOAT)
    tightened = tighten_schema(schema)
    assert tightened.feature[0] == schema.feature[0]
    assert len(schema.feature) == 1
    assert len(tightened.feature) == 5


def test_the_component_takes_the_place_of_the_stock_one() -> None:
    component = InteractionsValidator(
        statistics=channel_utils.as_channel([standard_artifacts.ExampleStatistics()]),
        schema=channel_utils.as_channel([standard_artifacts.Schema()]),
    )
    assert component.id == "InteractionsValidator"
    assert component.executor_spec.executor_class is InteractionsValidatorExecutor
