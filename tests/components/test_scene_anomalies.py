"""The form of new events, against the schema and statistics of real components."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import tensorflow_data_validation as tfdv

from adarec_tf.data.log.readers import InteractionColumns
from components.scene_anomalies import find_anomalies

COLUMNS = InteractionColumns(event="event")
CUT, NUM = 1000, 2000


@pytest.fixture
def log() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    return {
        "user_id": np.char.add("u", generator.integers(0, 200, NUM).astype(str)),
        "item_id": np.char.add("i", generator.integers(0, 100, NUM).astype(str)),
        "timestamp": np.arange(NUM),
        "event": generator.choice(["view", "buy"], NUM).astype("U8"),
    }


def anomalies(
    tmp_path: Path, log: dict[str, np.ndarray], read: dict[str, np.ndarray] | None = None
) -> list[str]:
    """Those of the second half of a log, as it is read now, against the first as it was."""
    trained = pa.table(log).slice(0, CUT + 1).append_column("arrival", pa.array(np.arange(CUT + 1)))
    statistics = tfdv.generate_statistics_from_dataframe(trained.to_pandas())
    (tmp_path / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
    tfdv.write_schema_text(tfdv.infer_schema(statistics), str(tmp_path / "schema.pbtxt"))
    pyarrow.csv.write_csv(pa.table(read or log), tmp_path / "log.csv")
    return find_anomalies(
        [str(tmp_path / "log.csv")],
        COLUMNS,
        since=CUT,
        time_scale=1,
        schema_path=str(tmp_path / "schema.pbtxt"),
        statistics_path=str(tmp_path / "FeatureStats.pb"),
    )


def test_events_like_those_before_have_none(tmp_path: Path, log: dict[str, np.ndarray]) -> None:
    assert anomalies(tmp_path, log) == []


def test_only_new_rows_are_looked_at(tmp_path: Path, log: dict[str, np.ndarray]) -> None:
    event = log["event"].copy()
    event[:3] = "return"
    assert anomalies(tmp_path, log, {**log, "event": event}) == []


def test_a_new_event_type_is_one(tmp_path: Path, log: dict[str, np.ndarray]) -> None:
    log["event"][-3:] = "return"
    [anomaly] = anomalies(tmp_path, log)
    assert anomaly.startswith("`event`: ")
    assert "return" in anomaly


def test_a_user_who_takes_over_is_one(tmp_path: Path, log: dict[str, np.ndarray]) -> None:
    log["user_id"][CUT + 1 :: 10] = "bot"
    [anomaly] = anomalies(tmp_path, log)
    assert anomaly.startswith("`user_id`: ")
    assert "bot" in anomaly
