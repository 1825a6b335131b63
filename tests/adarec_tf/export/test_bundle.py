"""The bundle on disk: complete, loadable without this package, equal to the model in process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from adarec_tf.config import StudentConfig
from adarec_tf.data.vocabulary import ItemVocabulary
from adarec_tf.export import bundle
from adarec_tf.export.bundle import (
    bundle_bytes,
    load_recommender,
    read_manifest,
    request_tensors,
    write_bundle,
)
from adarec_tf.item_table_config import ItemTableConfig
from adarec_tf.metrics.protocols import model_scorer
from adarec_tf.students import Genotype, Student, build_student
from tests.adarec_tf.tiny_scene import ConvolutionModel, build_convolution_model

NUM_ITEMS = 12
MAX_LENGTH = 5
VOCABULARY = ItemVocabulary(tuple(f"item-{number}é" for number in range(1, NUM_ITEMS + 1)))
HISTORY = ["item-3é", "item-7é", "item-1é"]


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


def write(model: ConvolutionModel, directory: Path, **changes: Any) -> str:
    options: dict[str, Any] = {
        "max_length": MAX_LENGTH,
        "seen": "exclude",
        "genotype_json": '{"edges": []}',
        "manifest": {"created": "2024-05-01", "scene": "toy"},
        "warmup_histories": [HISTORY, []],
    }
    write_bundle(model, VOCABULARY, str(directory), **(options | changes))
    return str(directory)


def test_recommendations_equal_the_model_in_process(
    model: ConvolutionModel, tmp_path: Path
) -> None:
    recommend = load_recommender(write(model, tmp_path / "bundle"))
    [answer] = recommend([HISTORY], NUM_ITEMS, False)
    scores = model_scorer(model)(np.arange(1), np.array([[3, 7, 1]]))[0]
    expected = np.argsort(-scores, kind="stable")
    assert [item.item_id for item in answer] == VOCABULARY.decode(expected + 1)
    np.testing.assert_allclose(
        [item.score for item in answer], scores[expected], rtol=1e-5, atol=1e-6
    )


def test_histories_of_different_lengths_share_a_request(
    model: ConvolutionModel, tmp_path: Path
) -> None:
    recommend = load_recommender(write(model, tmp_path / "bundle"))
    answers = recommend([HISTORY, ["item-2é"], []], 4, True)
    assert [[item.item_id for item in answer] for answer in answers] == [
        [item.item_id for item in recommend([history], 4, True)[0]]
        for history in (HISTORY, ["item-2é"], [])
    ]
    assert recommend([], 4, True) == []
    assert len(recommend([list(VOCABULARY.keys[1:])], 4, True)[0]) == 1


def test_the_bundle_answers_in_a_process_without_this_package(
    model: ConvolutionModel, tmp_path: Path
) -> None:
    directory = write(model, tmp_path / "bundle")
    script = f"""
import json, sys
import tensorflow as tf
recommend = tf.saved_model.load({directory!r}).signatures["serving_default"]
answer = recommend(
    history=tf.constant([{HISTORY!r}]), k=tf.constant(4), exclude_seen=tf.constant(True)
)
assert not [name for name in sys.modules if name.startswith(("adarec_tf", "keras."))]
print(json.dumps([key.decode() for key in answer["item_ids"].numpy()[0]]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [expected] = load_recommender(directory)([HISTORY], 4, True)
    assert json.loads(done.stdout.splitlines()[-1]) == [item.item_id for item in expected]


def test_a_session_answers_as_tensorflow_serving_runs_it(
    model: ConvolutionModel, tmp_path: Path
) -> None:
    directory = write(model, tmp_path / "bundle")
    [expected] = load_recommender(directory)([HISTORY], 4, True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], directory)
        signature = meta_graph.signature_def["serving_default"]
        feeds = {"history": [HISTORY], "k": 4, "exclude_seen": True}
        for _ in range(2):  # tables and variables outlive a call
            keys = session.run(
                signature.outputs["item_ids"].name,
                {signature.inputs[name].name: value for name, value in feeds.items()},
            )
    assert [key.decode() for key in keys[0]] == [item.item_id for item in expected]


def test_files_and_manifest_are_complete(model: ConvolutionModel, tmp_path: Path) -> None:
    directory = Path(write(model, tmp_path / "bundle"))
    assert (directory / "saved_model.pb").exists()
    assert ItemVocabulary.read(str(directory / "assets" / "vocabulary.txt")) == VOCABULARY
    assert json.loads((directory / "assets.extra" / "genotype.json").read_text()) == {"edges": []}
    manifest = read_manifest(str(directory))
    assert manifest.pop("library_versions")["tensorflow"] == tf.__version__
    assert manifest == {
        "schema_version": 1,
        "signatures": ["serving_default"],
        "max_length": MAX_LENGTH,
        "seen": "exclude",
        "num_items": NUM_ITEMS,
        "created": "2024-05-01",
        "scene": "toy",
    }
    assert bundle_bytes(str(directory)) > (directory / "saved_model.pb").stat().st_size


def test_optional_parts_are_left_out(model: ConvolutionModel, tmp_path: Path) -> None:
    directory = Path(write(model, tmp_path / "bundle", genotype_json=None, warmup_histories=[]))
    assert [path.name for path in (directory / "assets.extra").iterdir()] == ["manifest.json"]


def test_signature_is_the_contract(model: ConvolutionModel, tmp_path: Path) -> None:
    signature = load_recommender(write(model, tmp_path / "bundle")).signature
    inputs = {
        name: (spec.dtype, spec.shape.rank)
        for name, spec in signature.structured_input_signature[1].items()
    }
    outputs = {
        name: (spec.dtype, spec.shape.rank) for name, spec in signature.structured_outputs.items()
    }
    assert inputs == {
        "history": (tf.string, 2),
        "k": (tf.int32, 0),
        "exclude_seen": (tf.bool, 0),
    }
    assert outputs == {"item_ids": (tf.string, 2), "scores": (tf.float32, 2)}


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_warmup_requests_can_be_replayed(
    model: ConvolutionModel, tmp_path: Path, seen: str
) -> None:
    directory = write(model, tmp_path / "bundle", seen=seen)
    recommender = load_recommender(directory)
    path = f"{directory}/assets.extra/tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(path)]
    assert len(records) == 2
    for record in records:
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "student"
        assert request.model_spec.signature_name == "serving_default"
        tensors = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        assert tensors["exclude_seen"] == (seen == "exclude")
        answer = recommender.signature(**{name: tf.constant(v) for name, v in tensors.items()})
        assert answer["item_ids"].shape == (1, 10)


def test_weights_are_stored_once(tmp_path: Path) -> None:
    model = build_convolution_model(5000, MAX_LENGTH)
    keys = ItemVocabulary(tuple(str(number) for number in range(5000)))
    directory = tmp_path / "bundle"
    write_bundle(
        model,
        keys,
        str(directory),
        max_length=MAX_LENGTH,
        seen="keep",
        genotype_json=None,
        manifest={},
        warmup_histories=[],
    )
    weights = 4 * sum(np.prod(v.shape) for v in model.trainable_variables)
    stored = sum(path.stat().st_size for path in (directory / "variables").iterdir())
    assert weights <= stored < 1.1 * weights


def write_student(table_format: str, directory: Path) -> tuple[Student, str]:
    num_items = 2000
    config = StudentConfig(
        hidden_dim=32, num_nodes=2, item_table=ItemTableConfig(format=table_format, rank=8)
    )
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])
    student = build_student(genotype, config, num_items, MAX_LENGTH, seed=1)
    write_bundle(
        student,
        ItemVocabulary(tuple(str(number) for number in range(num_items))),
        str(directory),
        max_length=MAX_LENGTH,
        seen="keep",
        genotype_json=None,
        manifest={},
        warmup_histories=[],
    )
    return student, str(directory)


def test_a_bundle_is_as_small_as_its_item_table(tmp_path: Path) -> None:
    plain, plain_dir = write_student("float32", tmp_path / "float32")
    table_bytes = plain.sequence_embedding.item_table.served_bytes
    rest = bundle_bytes(plain_dir) - table_bytes
    for name in ("low_rank", "product_codes", "int8"):
        student, directory = write_student(name, tmp_path / name)
        served = student.sequence_embedding.item_table.served_bytes
        assert served < 0.3 * table_bytes
        # Weights are there once: what is more is the graph of another format.
        assert served + rest - 20_000 < bundle_bytes(directory) < served + rest + 20_000, name


@pytest.mark.parametrize("table_format", ItemTableConfig.FORMATS)
def test_a_bundle_scores_as_the_student_in_process(tmp_path: Path, table_format: str) -> None:
    student, directory = write_student(table_format, tmp_path / "bundle")
    before = [np.array(v) for v in student.weights]
    [answer] = load_recommender(directory)([["4", "1", "1999", "7"]], 2000, False)
    scores = model_scorer(student)(np.arange(1), np.array([[5, 2, 2000, 8]]))[0]
    served = np.zeros(2000)
    for item in answer:
        served[int(item.item_id)] = item.score
    np.testing.assert_allclose(served, scores, rtol=0, atol=1e-5 * np.abs(scores).max())
    for variable, value in zip(student.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_the_bundle_does_not_tell_where_it_was_written(
    model: ConvolutionModel, tmp_path: Path
) -> None:
    directory = write(model, tmp_path / "bundle")
    for path in Path(directory).rglob("*"):
        assert path.is_dir() or str(tmp_path).encode() not in path.read_bytes(), path


def test_a_failed_write_leaves_nothing(
    model: ConvolutionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert list(tmp_path.rglob("saved_model.pb"))  # half of the work is done
        raise OSError("disk full")

    monkeypatch.setattr(bundle, "_write_warmup", fail)
    with pytest.raises(OSError, match="disk full"):
        write(model, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_never_overwritten(model: ConvolutionModel, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(model, tmp_path / "bundle")  # empty is as good as new
    with pytest.raises(ValueError, match="new or empty"):
        write(model, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seen": "auto"}, "seen='auto'"),
        ({"manifest": {"num_items": 3}}, r"\['num_items'\]"),
        ({"warmup_histories": [["a"]] * 1001}, "1001"),
    ],
)
def test_bad_arguments_are_refused(
    model: ConvolutionModel, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        write(model, tmp_path / "bundle", **changes)
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 items"):
        write(build_convolution_model(3, MAX_LENGTH), tmp_path / "bundle")


def test_a_directory_that_is_no_bundle_is_refused(model: ConvolutionModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json"):
        load_recommender(str(tmp_path))
    directory = Path(write(model, tmp_path / "bundle"))
    (directory / "assets.extra" / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(ValueError, match="99"):
        load_recommender(str(directory))


def test_no_histories_become_an_empty_matrix() -> None:
    assert request_tensors([], 3, True)["history"].shape == (0, 0)
    assert request_tensors([[]], 3, True)["history"].shape == (1, 0)
