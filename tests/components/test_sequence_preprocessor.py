import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import apache_beam as beam
import pytest
from hypothesis import given, settings
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from adarec_tf.config.data import DataConfig
from adarec_tf.data.log.interactions import read_interactions
from adarec_tf.data.storage.history_files import MANIFEST_FILE, SPLITS, read_statistics
from components import Sequences, Vocabulary
from components.sequence_preprocessor import SequencePreprocessor
from tests.adarec_tf.data.coded_rows import as_log
from tests.components.preprocessing import (
    LOG,
    Row,
    contents,
    decoded,
    decoded_in_time,
    run,
    write_examples,
)
from tests.references import sequences as reference
from tests.strategies import interactions

SCENE = Path(__file__).parents[3] / "shared" / "data" / "beauty" / "interactions.csv.gz"


def test_sequences_agree_with_the_reference(tmp_path: Path) -> None:
    statistics = run(tmp_path, LOG, min_item_interactions=2)
    histories, vocabulary, removed = reference.split_log(LOG, 2, 3)
    assert decoded(tmp_path) == histories
    assert (tmp_path / "vocabulary" / "vocabulary.txt").read_text().split() == vocabulary
    assert statistics.removed == removed
    assert statistics.num_users == 3
    assert statistics.num_items == len(vocabulary)
    assert statistics.num_interactions == sum(len(h) + 2 for h, _, _ in histories.values())
    assert statistics.repeat_share == reference.repeat_share([h for h, _, _ in histories.values()])
    assert statistics.seen == "exclude"
    assert statistics == read_statistics(str(tmp_path / "sequences"))


def test_every_shard_of_every_split_is_there(tmp_path: Path) -> None:
    run(tmp_path, LOG)
    for split in SPLITS:
        files = sorted(file.name for file in (tmp_path / "sequences" / f"Split-{split}").iterdir())
        assert files == [f"part-{shard:05d}-of-00008.parquet" for shard in range(8)]


def test_shards_and_workers_never_change_a_byte(tmp_path: Path) -> None:
    run(tmp_path / "one", LOG)
    expected = contents(tmp_path / "one")
    assert len(expected) == 3 * 8 + 3  # statistics, manifest, vocabulary
    for name, num_files, workers in (("files", 5, 1), ("both", 3, 3)):
        run(tmp_path / name, LOG, num_files, workers)
        assert contents(tmp_path / name) == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=5)
@given(interactions(with_ties=False, max_rows=40))
def test_input_order_never_changes_sequences(rows: list[Row]) -> None:
    # Enough for every log to leave someone.
    rows = [*rows, *[("always", f"i{number}", 2 * 10**9 + number) for number in range(3)]]
    with TemporaryDirectory() as directory:
        first = run(Path(directory) / "a", rows)
        second = run(Path(directory) / "b", rows[::-1], num_files=2)
        assert first == second
        assert contents(Path(directory) / "a") == contents(Path(directory) / "b")


def test_rounds_of_the_filters_agree_with_the_reference(tmp_path: Path) -> None:
    # Without `rare` its users are short; then `b` is rare, and so on.
    chain = [
        *[("a", item, time) for time, item in enumerate(["x", "y", "z", "x", "y"])],
        *[("b", item, time) for time, item in enumerate(["x", "y", "b", "z"])],
        *[("c", item, time) for time, item in enumerate(["b", "x", "rare"])],
    ]
    statistics = run(tmp_path, chain, min_item_interactions=2, k_core_rounds=0)
    histories, vocabulary, removed = reference.split_log(chain, 2, 3, 0)
    assert decoded(tmp_path) == histories
    assert statistics.removed == removed
    assert removed["round_2_interactions_of_rare_items"] == 1
    assert "b" not in vocabulary


def test_a_partition_without_users_writes_an_empty_shard(tmp_path: Path) -> None:
    run(tmp_path, [("u", item, time) for time, item in enumerate("abc")])
    manifest = json.loads((tmp_path / "sequences" / MANIFEST_FILE).read_text())
    counts = [entry["num_histories"] for entry in manifest.values()]
    assert sorted(counts) == [*[0] * 21, *[1] * 3]
    for name, entry in manifest.items():
        content = (tmp_path / "sequences" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


def test_an_earlier_vocabulary_is_extended_whatever_the_workers(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.txt"
    earlier.write_text("gone\nb\na\n")
    statistics = run(tmp_path / "one", LOG, previous_vocabulary=str(earlier))
    run(tmp_path / "several", LOG, 3, 3, previous_vocabulary=str(earlier))
    assert contents(tmp_path / "one") == contents(tmp_path / "several")
    vocabulary = (tmp_path / "one" / "vocabulary" / "vocabulary.txt").read_text().split()
    assert vocabulary == ["gone", "b", "a", "c", "d", "rare"]
    assert statistics.num_items == 6
    histories, _, _ = reference.split_log(LOG, 1, 3)
    assert decoded(tmp_path / "one") == histories
    assert statistics.data_fingerprint != run(tmp_path / "cold", LOG).data_fingerprint


def test_an_earlier_vocabulary_that_is_not_there_is_one_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"The vocabulary should be a file. Received: .*gone"):
        run(tmp_path, LOG, previous_vocabulary=str(tmp_path / "gone.txt"))


def test_nothing_is_left_of_the_shuffle(tmp_path: Path) -> None:
    run(tmp_path, LOG)
    assert {path.name for path in (tmp_path / "sequences").iterdir()} == {
        *(f"Split-{split}" for split in SPLITS),
        MANIFEST_FILE,
        "statistics.json",
    }


def test_seen_items_stay_where_users_repeat(tmp_path: Path) -> None:
    repeating = [("u", item, time) for time, item in enumerate("abab" * 3)]
    assert run(tmp_path, repeating).seen == "keep"


SPREAD: list[Row] = [
    *[("ann", item, time) for time, item in enumerate(["a", "b", "a", "c"])],
    *[("bob", item, 2 + 2 * time) for time, item in enumerate(["b", "a", "c", "new", "b"])],
    *[("cyd", item, 1 + 3 * time) for time, item in enumerate(["c", "a", "b"])],
    *[("late", item, 8 + time) for time, item in enumerate(["a", "b", "c"])],
    *[("new taste", item, time) for item, time in [("a", 0), ("b", 7), ("new", 9)]],
]


def test_one_cut_in_time_agrees_with_the_reference(tmp_path: Path) -> None:
    kept, removed = reference.filter_log(SPREAD, 1, 3)
    # 18 rows: the test period wants 3.6 of them, with the validation period 7.2.
    expected = reference.split_in_time(kept, 8, 4)
    statistics = run(tmp_path, SPREAD, split="global_time", test_time_share=0.2)
    assert decoded_in_time(tmp_path) == expected._replace(removed={})
    assert statistics.removed == removed | expected.removed
    assert "new" not in expected.vocabulary
    assert expected.test == {"bob": (["b", "a", "c"], "b"), "late": (["a"], "b")}
    assert expected.removed["valid_users_without_history"] == 1
    assert expected.removed["valid_targets_unknown_in_training"] == 1
    assert statistics.num_items == len(expected.vocabulary)
    assert statistics.repeat_share == reference.repeat_share(list(expected.train.values()))
    other = run(tmp_path / "b", SPREAD, split="global_time", test_time_share=0.1)
    assert other.data_fingerprint != statistics.data_fingerprint


def test_workers_never_change_a_byte_of_a_split_in_time(tmp_path: Path) -> None:
    run(tmp_path / "one", SPREAD, split="global_time")
    run(tmp_path / "many", SPREAD, 3, 3, split="global_time")
    assert contents(tmp_path / "many") == contents(tmp_path / "one")


def test_a_cut_that_leaves_no_targets_is_one_plain_error(tmp_path: Path) -> None:
    at_once = [(user, item, 5) for user in ("u", "v") for item in "abc"]
    with pytest.raises(ValueError, match=r"Received: 0 and 0.*`test_time_share`"):
        run(tmp_path, at_once, split="global_time")


def test_a_log_with_nothing_left_is_one_plain_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"0 users and 0 items.*Bring a longer log"):
        run(tmp_path, LOG[:2])


def test_the_component_fills_its_artifacts(tmp_path: Path) -> None:
    examples = standard_artifacts.Examples()
    examples.uri, examples.split_names = str(tmp_path), '["all"]'
    examples.set_float_custom_property("largest_time", 7.5)
    write_examples(tmp_path / "Split-all", as_log(LOG))
    sequences, vocabulary = Sequences(), Vocabulary()
    sequences.uri, vocabulary.uri = str(tmp_path / "sequences"), str(tmp_path / "vocabulary")
    SequencePreprocessor.test_call(
        examples=examples,
        sequences=sequences,
        vocabulary=vocabulary,
        data_config=DataConfig().to_json(),
        beam_pipeline=beam.Pipeline(runner="FnApiRunner"),
    )
    assert sequences.get_int_custom_property("num_users") == 3
    assert sequences.get_int_custom_property("removed_duplicate_interactions") == 1
    assert sequences.get_string_custom_property("seen") in ("exclude", "keep")
    assert vocabulary.get_int_custom_property("num_items") == 5
    assert vocabulary.get_float_custom_property("until") == 7.5


def test_it_compiles_for_kubeflow(tmp_path: Path) -> None:
    importer = tfx.dsl.Importer("uri", standard_artifacts.Examples).with_id("examples")
    component = SequencePreprocessor(
        examples=importer.outputs["result"],
        data_config=DataConfig().to_json(),
        code_fingerprint="abc",
    )
    pipeline = tfx.dsl.Pipeline("p", str(tmp_path / "root"), components=[importer, component])
    runner = tfx.orchestration.experimental.KubeflowV2DagRunner(
        tfx.orchestration.experimental.KubeflowV2DagRunnerConfig(default_image="image"),
        output_dir=str(tmp_path),
        output_filename="pipeline.json",
    )
    runner.run(pipeline)
    assert "components.sequence_preprocessor" in (tmp_path / "pipeline.json").read_text()


@pytest.mark.skipif(not SCENE.exists(), reason="needs the logs of the scenes")
def test_a_real_scene_is_the_same_whatever_the_workers(tmp_path: Path) -> None:
    batches = list(read_interactions(str(SCENE)))
    rows = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    minimums = {"min_user_interactions": 5, "min_item_interactions": 5}
    statistics = run(tmp_path / "one", rows, **minimums)
    run(tmp_path / "many", rows, 7, 3, **minimums)
    assert contents(tmp_path / "many") == contents(tmp_path / "one")
    # Of the element-by-element preprocessing that this one replaced.
    assert statistics.data_fingerprint == (
        "50585d4179c9efdb87446a55374b43ec445efecf358cdcb8cc2e613412e08e0c"
    )
