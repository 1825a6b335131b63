"""The bundle on disk: complete, loadable without this package, equal to the model in process."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2, saved_model_pb2
from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint
from tensorflow_serving.apis import prediction_log_pb2

from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.evaluation.protocols import model_scorer
from adarec_tf.export import bundle
from adarec_tf.export.bundle import bundle_bytes, read_manifest, write_bundle
from adarec_tf.export.recommender import Recommender
from adarec_tf.export.signatures import SIGNATURE
from adarec_tf.export.tf_session import TfSession
from adarec_tf.export.warm_up import request_arrays
from adarec_tf.models.model_cost import served_bytes
from adarec_tf.models.sequence_model import SequenceModel
from adarec_tf.models.students import Genotype, Student, build_student
from serving.loaded_model import load_model
from tests.adarec_tf.tiny_scene import ConvolutionModel, build_convolution_model

NUM_ITEMS = 12
MAX_LENGTH = 5
NUM_PLAIN_ITEMS = 2000
VOCABULARY = ItemVocabulary(tuple(f"item-{number}é" for number in range(1, NUM_ITEMS + 1)))
HISTORY = ["item-3é", "item-7é", "item-1é"]

Ask = Callable[[dict[str, np.ndarray]], dict[str, Any]]


@pytest.fixture
def model() -> ConvolutionModel:
    return build_convolution_model(NUM_ITEMS, MAX_LENGTH)


SIGNATURES = ["embed", "from_examples", "recommend_filtered", "score", "serving_default", "step"]


def write(model: SequenceModel, directory: Path, **changes: Any) -> str:
    options: dict[str, Any] = {
        "max_length": MAX_LENGTH,
        "seen": "exclude",
        "genotype_json": '{"edges": []}',
        "manifest": {"created": "2024-05-01", "scene": "toy"},
        "warmup_histories": [HISTORY, []],
    }
    write_bundle(model, VOCABULARY, str(directory), **(options | changes))
    return str(directory)


class _Written(NamedTuple):
    """A bundle that tests only read, and the model that it was made of."""

    model: SequenceModel
    directory: str


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> _Written:
    keras.utils.set_random_seed(0)
    model = build_convolution_model(NUM_ITEMS, MAX_LENGTH)
    return _Written(model, write(model, tmp_path_factory.mktemp("written") / "bundle"))


def test_recommendations_equal_the_model_in_process(written: _Written) -> None:
    recommend = Recommender.load(written.directory)
    [answer] = recommend([HISTORY], NUM_ITEMS, False)
    scores = model_scorer(written.model)(np.arange(1), np.array([[3, 7, 1]]))[0].numpy()
    expected = np.argsort(-scores, kind="stable")
    assert [item.item_id for item in answer] == VOCABULARY.decode(expected + 1)
    np.testing.assert_allclose(
        [item.score for item in answer], scores[expected], rtol=1e-5, atol=1e-6
    )


def test_histories_of_different_lengths_share_a_request(written: _Written) -> None:
    recommend = Recommender.load(written.directory)
    answers = recommend([HISTORY, ["item-2é"], []], 4, True)
    assert [[item.item_id for item in answer] for answer in answers] == [
        [item.item_id for item in recommend([history], 4, True)[0]]
        for history in (HISTORY, ["item-2é"], [])
    ]
    assert recommend([], 4, True) == recommend([[]], 4, True)[0]  # a newcomer
    assert len(recommend([list(VOCABULARY.keys[1:])], 4, True)[0]) == 1


@pytest.fixture(scope="module")
def student_bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "max_pool_3"]])
    student = build_student(genotype, StudentConfig(hidden_dim=8), NUM_ITEMS, MAX_LENGTH, seed=1)
    return write(student, tmp_path_factory.mktemp("student") / "bundle")


def warm_up_requests(directory: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Signature and inputs of every request in the warm-up file."""
    path = f"{directory}/assets.extra/tf_serving_warmup_requests"
    requests = []
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "student"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, inputs))
    return requests


@pytest.mark.slow
def test_every_signature_answers_in_a_process_without_this_package(
    student_bundle: str, tmp_path: Path
) -> None:
    script = f"""
import json, sys
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
signatures = tf.saved_model.load({student_bundle!r}).signatures
path = {student_bundle!r} + "/assets.extra/tf_serving_warmup_requests"
answers = []
for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    name = request.model_spec.signature_name
    inputs = {{key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}}
    answer = signatures[name](**inputs)
    answers.append([name, {{key: tf.reduce_sum(tf.strings.length(value)).numpy().item()
                          if value.dtype == tf.string else value.numpy().ravel().tolist()
                          for key, value in answer.items()}}])
assert not [name for name in sys.modules if name.startswith("adarec_tf")]
print(json.dumps(answers))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert sorted({name for name, _ in answers}) == SIGNATURES
    recommender = Recommender.load(student_bundle)
    for (name, inputs), (_, answer) in zip(warm_up_requests(student_bundle), answers, strict=True):
        expected = recommender.signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        for key, value in answer.items():
            if expected[key].dtype == tf.string:
                assert value == sum(len(item) for item in expected[key].numpy().ravel())
            else:
                np.testing.assert_allclose(value, expected[key].numpy().ravel(), rtol=1e-5)


def test_a_session_answers_as_tensorflow_serving_runs_it(student_bundle: str) -> None:
    recommender, requests = Recommender.load(student_bundle), warm_up_requests(student_bundle)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta_graph = tf.compat.v1.saved_model.load(session, ["serve"], student_bundle)
        answers = []
        for name, inputs in requests * 2:  # tables outlive a call
            signature = meta_graph.signature_def[name]
            fetches = {key: output.name for key, output in signature.outputs.items()}
            feeds = {signature.inputs[key].name: value for key, value in inputs.items()}
            answers.append((name, inputs, session.run(fetches, feeds)))
    for name, inputs, answer in answers:
        expected = recommender.signatures[name](
            **{key: tf.constant(value) for key, value in inputs.items()}
        )
        for key, value in answer.items():
            if expected[key].dtype == tf.string:
                np.testing.assert_array_equal(value, expected[key].numpy(), f"{name} {key}")
            else:
                np.testing.assert_allclose(value, expected[key].numpy(), rtol=1e-5)


def test_files_and_manifest_are_complete(written: _Written) -> None:
    directory = Path(written.directory)
    assert (directory / "saved_model.pb").exists()
    assert ItemVocabulary.read(str(directory / "assets" / "vocabulary.txt")) == VOCABULARY
    assert json.loads((directory / "assets.extra" / "genotype.json").read_text()) == {"edges": []}
    manifest = read_manifest(str(directory))
    assert manifest.pop("library_versions")["tensorflow"] == tf.__version__
    assert manifest == {
        "schema_version": 1,
        "signatures": [name for name in SIGNATURES if name != "step"],
        "session_size": 0,
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


HISTORY_INPUT = {"history": (tf.string, [None, None])}
QUESTION = {**HISTORY_INPUT, "k": (tf.int32, []), "exclude_seen": (tf.bool, [])}
KEYS = (tf.string, [None, None])
BEST = {"item_ids": (tf.string, 2), "scores": (tf.float32, 2)}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("serving_default", QUESTION, BEST),
        ("recommend_filtered", {**QUESTION, "allowed": KEYS, "denied": KEYS}, BEST),
        ("score", {**HISTORY_INPUT, "candidates": KEYS}, {"scores": (tf.float32, 2)}),
        ("embed", HISTORY_INPUT, {"user_vector": (tf.float32, 2)}),
        ("from_examples", {"examples": (tf.string, [None])}, BEST),
        (
            "step",
            {
                "item": (tf.string, [None]),
                "session": (tf.float32, [None, None]),
                "k": (tf.int32, []),
                "denied": KEYS,
            },
            {**BEST, "session": (tf.float32, 2)},
        ),
    ],
)
def test_signatures_are_the_contract(
    student_bundle: str, name: str, inputs: dict[str, Any], outputs: dict[str, Any]
) -> None:
    signature = Recommender.load(student_bundle).signatures[name]
    assert inputs == {
        key: (spec.dtype, spec.shape.as_list())
        for key, spec in signature.structured_input_signature[1].items()
    }
    assert outputs == {
        key: (spec.dtype, spec.shape.rank) for key, spec in signature.structured_outputs.items()
    }


def test_the_manifest_tells_of_sessions(student_bundle: str) -> None:
    manifest = read_manifest(student_bundle)
    assert manifest["signatures"] == SIGNATURES
    assert manifest["session_size"] == 1 + 8 * (1 + 2 + 2)


@pytest.mark.parametrize("seen", ["exclude", "keep"])
def test_warmup_asks_every_signature_as_clients_do(
    written: _Written, model: ConvolutionModel, tmp_path: Path, seen: str
) -> None:
    is_default = seen == "exclude"
    directory = written.directory if is_default else write(model, tmp_path / "bundle", seen=seen)
    requests = warm_up_requests(directory)
    others = ["recommend_filtered", "score", "embed", "from_examples"]
    assert [name for name, _ in requests] == ["serving_default"] * 2 + others
    for _, inputs in requests:
        assert inputs.get("exclude_seen", seen == "exclude") == (seen == "exclude")


def test_every_weight_and_key_is_in_the_bundle_once(tmp_path: Path) -> None:
    student = build_plain_student("float32")
    generator = np.random.default_rng(0)
    for variable in student.trainable_variables:  # norms begin with equal numbers
        variable.assign(generator.normal(size=variable.shape))
    directory = write_plain_student(student, tmp_path / "bundle")
    embedding, [cell] = student.sequence_embedding, student.cells
    convolution = cell.operations[0].convolution
    kernel, bias = (np.array(v) for v in (convolution.kernel, convolution.bias))
    weights = {
        "item row": embedding.item_vectors().numpy()[7],
        "position row": np.array(embedding.position_table)[2],
        "kernel": (kernel - kernel.mean(axis=-1, keepdims=True))[::-1],
        "bias": bias - bias.mean(),
        "norm of a convolution": np.array(cell.operations[0].norm.gamma),
        "norm of a cell": np.array(cell.combine.norm.beta),
        "last norm": np.array(student.final_norm.gamma),
    }
    files = [path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()]
    for name, values in weights.items():
        assert sum(content.count(values.tobytes()) for content in files) == 1, name
    assert sum(content.count(b"\n1234\n") for content in files) == 1


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


def test_the_graph_tells_nothing_twice(tmp_path: Path) -> None:
    directory = write_plain_student(build_plain_student("float32"), tmp_path / "bundle")
    file = Path(directory) / "saved_model.pb"
    [meta_graph] = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    functions = meta_graph.graph_def.library.function
    assert sum(len(function.node_def) for function in functions) > 100
    assert not any("_output_shapes" in n.attr for f in functions for n in f.node_def)
    # Those of the arguments are what a loaded signature checks its inputs by.
    assert any("_output_shapes" in attr.attr for f in functions for attr in f.arg_attr.values())
    fingerprint = Path(directory) / "fingerprint.pb"
    stored = fingerprint_pb2.FingerprintDef.FromString(fingerprint.read_bytes())
    write_fingerprint(directory)
    written = fingerprint_pb2.FingerprintDef.FromString(fingerprint.read_bytes())
    assert stored.saved_model_checksum == written.saved_model_checksum != 0


def build_plain_student(table_format: str, seed: int = 1) -> Student:
    config = StudentConfig(hidden_dim=32, num_nodes=2, precision=table_format)
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "none"]])
    return build_student(genotype, config, NUM_PLAIN_ITEMS, MAX_LENGTH, seed=seed)


def write_plain_student(student: Student, directory: Path) -> str:
    write_bundle(
        student,
        ItemVocabulary(tuple(str(number) for number in range(NUM_PLAIN_ITEMS))),
        str(directory),
        max_length=MAX_LENGTH,
        seen="keep",
        genotype_json=None,
        manifest={},
        warmup_histories=[],
    )
    return str(directory)


@pytest.fixture(scope="module")
def of_format(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Student, str]]:
    """Students by the format of their tables, and their bundles, which tests only read."""

    @functools.cache
    def written_student(table_format: str) -> tuple[Student, str]:
        student = build_plain_student(table_format)
        folder = tmp_path_factory.mktemp(table_format)
        return student, write_plain_student(student, folder / "bundle")

    return written_student


def test_a_bundle_is_as_small_as_its_item_table(
    of_format: Callable[[str], tuple[Student, str]],
) -> None:
    plain, plain_dir = of_format("float32")
    table_bytes = plain.sequence_embedding.item_table.served_bytes
    rest = bundle_bytes(plain_dir) - table_bytes
    for name in ("int8", "int4"):
        student, directory = of_format(name)
        served = student.sequence_embedding.item_table.served_bytes
        assert served < 0.3 * table_bytes
        # Weights are there once: what is more is the graph of another format.
        assert served + rest - 20_000 < bundle_bytes(directory) < served + rest + 20_000, name


def test_a_kernel_in_bytes_is_a_quarter_of_its_size_in_the_bundle(tmp_path: Path) -> None:
    sizes = {}
    for precision in ("float32", "int8"):
        config = StudentConfig(hidden_dim=64, precision=precision)
        genotype = Genotype.from_primitives(2, [["conv_5", "conv_3", "skip"]])
        student = build_student(genotype, config, 2000, 8, seed=1)
        sizes[precision] = bundle_bytes(
            write_plain_student(student, tmp_path / precision)
        ) - served_bytes(student)
    # So the rest, which is the graph, stays.
    assert abs(sizes["int8"] - sizes["float32"]) < 10_000


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
def test_a_bundle_scores_as_the_student_in_process(
    of_format: Callable[[str], tuple[Student, str]], table_format: str
) -> None:
    student, directory = of_format(table_format)
    before = [np.array(v) for v in student.weights]
    [answer] = Recommender.load(directory)([["4", "1", "1999", "7"]], 2000, False)
    scores = model_scorer(student)(np.arange(1), np.array([[5, 2, 2000, 8]]))[0].numpy()
    served = np.zeros(2000)
    for item in answer:
        served[int(item.item_id)] = item.score
    np.testing.assert_allclose(served, scores, rtol=0, atol=1e-5 * np.abs(scores).max())
    for variable, value in zip(student.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def by_server(directory: str) -> Ask:
    return load_model(Path(directory), version=1).functions[SIGNATURE]


def by_session(directory: str) -> Ask:
    return TfSession().load(directory)[SIGNATURE]


def by_saved_model(directory: str) -> Ask:
    loaded = tf.saved_model.load(directory)
    return lambda request: {
        name: value.numpy()
        for name, value in loaded.signatures[SIGNATURE](
            **{key: tf.constant(array) for key, array in request.items()}
        ).items()
    }


@pytest.mark.parametrize("load", [by_server, by_session, by_saved_model])
@pytest.mark.parametrize("table_format", ["int8", "int4"])
def test_two_versions_of_one_process_score_each_as_its_student(
    of_format: Callable[[str], tuple[Student, str]],
    table_format: str,
    load: Callable[[str], Ask],
    tmp_path: Path,
) -> None:
    student, directory = of_format(table_format)
    other = build_plain_student(table_format, seed=2)
    versions = {
        directory: student,
        write_plain_student(other, tmp_path / "other"): other,
    }
    asked = [load(version) for version in versions]
    request = request_arrays([["4", "1", "1999", "7"]], NUM_PLAIN_ITEMS, False)
    for ask, model in zip(asked, versions.values(), strict=True):
        answer = ask(request)
        scores = model_scorer(model)(np.arange(1), np.array([[5, 2, 2000, 8]]))[0].numpy()
        expected = scores[answer["item_ids"][0].astype(int)]
        largest = np.abs(scores).max()
        np.testing.assert_allclose(answer["scores"][0], expected, rtol=0, atol=1e-5 * largest)


def test_the_bundle_does_not_tell_where_it_was_written(written: _Written) -> None:
    directory = Path(written.directory)
    for path in directory.rglob("*"):
        assert path.is_dir() or str(directory.parent).encode() not in path.read_bytes(), path


def test_a_failed_write_leaves_nothing(
    model: ConvolutionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert list(tmp_path.rglob("saved_model.pb"))  # half of the work is done
        raise OSError("disk full")

    monkeypatch.setattr(bundle, "write_warm_up", fail)
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
        ({"warmup_histories": [["a"]] * 996}, "at most 995"),
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
        Recommender.load(str(tmp_path))
    directory = Path(write(model, tmp_path / "bundle"))
    (directory / "assets.extra" / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(ValueError, match="99"):
        Recommender.load(str(directory))
