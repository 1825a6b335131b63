"""One log by both doors: `Dataset` in this process, and the components on Beam."""

import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts

from adarec_tf.config.data import DataConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.data.log.events import resolve_events
from adarec_tf.data.log.readers import InteractionColumns
from components.interactions_gen import InteractionsGenExecutor, interactions_gen
from components.sequence_preprocessor import preprocess

DATA = Path(__file__).parents[3] / "shared" / "data"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def by_components(log: Path, config: DataConfig, folder: Path) -> dict[str, bytes]:
    """What InteractionsGen and SequencePreprocessor write, the vocabulary beside the histories."""
    arguments = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    properties = interactions_gen(
        str(log), InteractionColumns.of_config(config)
    ).spec.exec_properties
    InteractionsGenExecutor(
        BaseBeamExecutor.Context(make_beam_pipeline_fn=lambda: beam.Pipeline(argv=arguments))
    ).Do({}, {"examples": [examples]}, dict(properties))
    counts = json.loads(examples.get_string_custom_property("event_counts") or "{}")
    preprocess(
        beam.Pipeline(argv=arguments),
        str(folder / "examples" / "Split-all"),
        str(folder / "beam"),
        str(folder / "beam"),
        config,
        examples.get_int_custom_property("time_scale"),
        resolve_events(config, counts),
    )
    return contents(folder / "beam")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample scene with kinds of events, repeats, duplicates and fractions of seconds."""
    rng = np.random.default_rng(0)
    log = generate_sample_scene(num_users=400, num_items=120, seed=1)
    log = log.take(np.sort(rng.choice(len(log), 2 * len(log))))
    log = log.append_column("event", pa.array(rng.choice(["view", "cart", "buy"], len(log))))
    later = log["timestamp"].to_numpy() + rng.integers(0, 3, len(log)) / 2
    path = tmp_path_factory.mktemp("sample") / "log.parquet"
    pyarrow.parquet.write_table(log.set_column(2, "timestamp", pa.array(later)), path)
    return path


EVENTS = {"event_column": "event", "events": ("view", "buy")}
WEIGHTS = {"event_column": "event", "event_weights": {"view": 1.0, "buy": 3.0, "cart": 0.0}}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"min_item_interactions": 110, "min_user_interactions": 20, "k_core_rounds": 0},
        {**EVENTS, "repeats": "drop_consecutive", "split": "global_time"},
        {**WEIGHTS, "repeats": "keep_last", "session_gap_seconds": 90_000.0},
        {"session_gap_seconds": 90_000.0, "split": "global_time", "test_time_share": 0.2},
    ],
    ids=["defaults", "k-core", "events in time", "weighed sessions", "sessions in time"],
)
def test_both_doors_write_the_same_bytes(
    sample: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    config = DataConfig(**options)
    expected = by_components(sample, config, tmp_path)
    for name, source in (("file", sample), ("table", pyarrow.parquet.read_table(sample))):
        Dataset.from_config(source, config).write(tmp_path / name)
        assert contents(tmp_path / name) == expected
    assert len(expected) == 3 * 8 + 3  # shards, manifest, statistics, vocabulary
    statistics = json.loads(expected["statistics.json"])
    # Decided from what all parts count together.
    assert statistics["max_length"] > 20 or "session_gap_seconds" in options
    removed = statistics["removed"]
    assert removed["duplicate_interactions"] > 0
    if "k_core_rounds" in options:
        assert removed["round_2_interactions_of_rare_items"] > 0
    if "repeats" in options:
        assert removed["repeated_interactions"] > 0
        assert removed["interactions_of_other_events"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "options"),
    [
        ("beauty", {"min_user_interactions": 6, "min_item_interactions": 6, "k_core_rounds": 2}),
        ("retailrocket", {"session_gap_seconds": 600.0, "split": "global_time"}),
    ],
)
def test_both_doors_write_the_same_bytes_of_real_scenes(
    tmp_path: Path, scene: str, options: dict[str, Any]
) -> None:
    log = DATA / scene / "interactions.csv.gz"
    if not log.exists():
        pytest.skip(f"needs {log}")
    config = DataConfig(**options)
    expected = by_components(log, config, tmp_path)
    Dataset.from_config(log, config).write(tmp_path / "dataset")
    assert contents(tmp_path / "dataset") == expected
