import gzip
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx import v1 as tfx
from tfx.components.example_gen.component import FileBasedExampleGen
from tfx.components.statistics_gen.executor import Executor as StatisticsGenExecutor
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from adarec_tf.data.log.encoded import LOG_SCHEMA
from adarec_tf.data.log.errors import InteractionsError
from adarec_tf.data.log.interactions import EVENT_FIELD
from adarec_tf.data.log.readers import InteractionColumns
from components import interactions_gen as gen
from components.interaction_blocks import list_blocks, read_block
from components.interactions_gen import InteractionsGenExecutor, interactions_gen
from components.interactions_validator import FEATURE_TYPES

HEADER = "user_id,item_id,timestamp\n"
Example = tuple[str, str, int, int]


def run_executor(component: FileBasedExampleGen, directory: Path) -> standard_artifacts.Examples:
    """Runs the component's executor as a local run does, without the rest of TFX."""
    examples = standard_artifacts.Examples()
    examples.uri = str(directory / "examples")
    context = base_beam_executor.BaseBeamExecutor.Context(
        make_beam_pipeline_fn=lambda: beam.Pipeline(runner="FnApiRunner")
    )
    properties: dict[str, Any] = dict(component.spec.exec_properties)
    InteractionsGenExecutor(context).Do({}, {"examples": [examples]}, properties)
    return examples


def read_examples(examples: standard_artifacts.Examples, split: str = "all") -> list[Example]:
    found = []
    for path in list_blocks(str(Path(examples.uri, f"Split-{split}"))):
        block = read_block(path)
        assert block.schema.equals(LOG_SCHEMA)
        found += [tuple(row.values()) for row in block.to_pylist()]
    return found


def test_a_file_becomes_examples_in_one_split(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "u,007,5\nzoë,NA,-1\n")
    examples = run_executor(interactions_gen(str(log)), tmp_path)
    assert read_examples(examples) == [("u", "007", 5, 0), ("zoë", "NA", -1, 1)]
    assert read_examples(examples, "sample") == read_examples(examples)
    assert {path.name for path in Path(examples.uri).iterdir()} == {"Split-all", "Split-sample"}
    assert examples.split_names == '["all", "sample"]'
    assert examples.get_int_custom_property("num_interactions") == 2
    assert examples.get_float_custom_property("largest_time") == 5
    assert examples.get_string_custom_property("payload_format") == "FORMAT_PARQUET"


def test_arrivals_rise_through_the_files_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "b.csv.gz").write_bytes(gzip.compress((HEADER + "u,b,0.5\nu,c,7\n").encode()))
    (folder / "a.tsv").write_text(HEADER.replace(",", "\t") + "u\ta\t9\n")
    (folder / ".hidden").touch()
    found = read_examples(run_executor(interactions_gen(str(folder)), tmp_path))
    by_arrival = sorted(found, key=lambda example: example[3])
    # One fraction anywhere scales the times of all files.
    assert [example[:3] for example in by_arrival] == [
        ("u", "a", 9_000_000),
        ("u", "b", 500_000),
        ("u", "c", 7_000_000),
    ]
    assert len({example[3] for example in found}) == 3


def test_blocks_and_the_sample_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gen, "_BLOCK_ROWS", 100_000)
    monkeypatch.setattr(gen, "_SAMPLE_ROWS", 10)
    log = tmp_path / "log.parquet"
    times = np.random.default_rng(0).integers(0, 10**6, 140_000)
    pq.write_table(pa.table({"user_id": times % 7, "item_id": times % 5, "timestamp": times}), log)
    examples = run_executor(interactions_gen(str(log)), tmp_path)
    blocks = [read_block(path) for path in list_blocks(str(Path(examples.uri, "Split-all")))]
    assert len(blocks) == 2
    assert max(map(len, blocks)) <= 100_000
    joined = pa.concat_tables(blocks)
    assert joined["arrival"].to_pylist() == list(range(140_000))
    assert joined["timestamp"].to_pylist() == times.tolist()
    sample = read_examples(examples, "sample")
    assert 10 <= len(sample) <= 10 + 2 * 3
    assert {times.min(), times.max()} <= {row[2] for row in sample}
    assert all(times[arrival] == time for _, _, time, arrival in sample)


def test_stock_statistics_read_the_sample(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "u,i,5\nv,i,7\nv,j,9\n")
    examples = run_executor(interactions_gen(str(log)), tmp_path)
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(tmp_path / "statistics")
    context = base_beam_executor.BaseBeamExecutor.Context(
        make_beam_pipeline_fn=lambda: beam.Pipeline(runner="FnApiRunner")
    )
    StatisticsGenExecutor(context).Do(
        {"examples": [examples]}, {"statistics": [statistics]}, {"exclude_splits": '["all"]'}
    )
    content = (tmp_path / "statistics" / "Split-sample" / "FeatureStats.pb").read_bytes()
    [dataset] = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    features = {feature.path.step[0]: feature for feature in dataset.features}
    assert set(features) == set(FEATURE_TYPES)
    assert dataset.num_examples == 3
    assert features["user_id"].string_stats.unique == 2
    assert features["timestamp"].num_stats.max == 9


def test_columns_are_named_by_the_caller(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("when,what,who\n5,i,u\n")
    component = interactions_gen(str(log), InteractionColumns("who", "what", "when"))
    assert read_examples(run_executor(component, tmp_path)) == [("u", "i", 5, 0)]


def test_event_types_are_in_the_blocks_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    header = "what," + HEADER
    (log / "a.csv").write_text(header + "view,u,i,1\nzähl,u,j,2\nview,u,j,3\n")
    (log / "b.csv").write_text(header + "buy,u,k,4\nview,v,i,5\n")
    component = interactions_gen(str(log), InteractionColumns(event="what"))
    examples = run_executor(component, tmp_path)
    assert json.loads(examples.get_string_custom_property("event_counts")) == {
        "buy": 1,
        "view": 3,
        "zähl": 1,
    }
    paths = list_blocks(str(Path(examples.uri, "Split-all")))
    blocks = [read_block(path, [*LOG_SCHEMA.names, "event"]) for path in paths]
    assert {block.schema for block in blocks} == {LOG_SCHEMA.append(EVENT_FIELD)}
    assert [block["event"].to_pylist() for block in blocks] == [
        ["view", "zähl", "view"],
        ["buy", "view"],
    ]
    # Who does not ask reads what is there without events; so do the statistics.
    plain = run_executor(interactions_gen(str(log)), tmp_path / "plain")
    assert not plain.has_custom_property("event_counts")
    for split in ("all", "sample"):
        assert read_examples(examples, split) == read_examples(plain, split)
    [sample, _] = list_blocks(str(Path(examples.uri, "Split-sample")))
    assert pq.read_schema(sample).names == LOG_SCHEMA.names


def test_a_bad_row_stops_before_anything_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "u,i,1\nu,i,soon\n")
    with pytest.raises(InteractionsError, match=r"log\.csv, line 3: `timestamp` should be"):
        run_executor(interactions_gen(str(log)), tmp_path)
    assert not (tmp_path / "examples").exists()


def test_seconds_beside_milliseconds_stop_before_anything_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "u,i,1700000000\nu,j,1700000000123\n")
    with pytest.raises(InteractionsError, match="`timestamp` should be in one unit"):
        run_executor(interactions_gen(str(log)), tmp_path)
    assert not (tmp_path / "examples").exists()


def test_other_code_or_columns_are_another_cache_key(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER)
    configs = {
        interactions_gen(str(log), columns, code).spec.exec_properties["custom_config"]
        for columns in (
            InteractionColumns(),
            InteractionColumns("a", "b", "c"),
            InteractionColumns(event="d"),
        )
        for code in ("1", "2")
    }
    assert len(configs) == 6


def test_it_compiles_for_kubeflow(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER)
    component = interactions_gen(str(log), code_fingerprint="abc")
    pipeline = tfx.dsl.Pipeline("interactions", str(tmp_path / "root"), components=[component])
    config = tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image")
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        config=config, output_dir=str(tmp_path), output_filename="pipeline.json"
    )
    runner.run(pipeline)
    compiled = (tmp_path / "pipeline.json").read_text()
    assert "components.interactions_gen.InteractionsGenExecutor" in compiled
    assert "abc" in compiled
