from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.export import tf_session
from adarec_tf.export.bundle import write_bundle
from adarec_tf.export.recommender import Recommender
from adarec_tf.export.signatures import SIGNATURE, build_served_model
from adarec_tf.export.tf_session import TfSession
from adarec_tf.export.warm_up import request_arrays, request_tensors
from adarec_tf.models.students import Genotype, Student, build_student

KEYS = tuple(f"i{number}" for number in range(1, 21))
HISTORY = [["i3", "i1", "i9"]]


def student_of(*operations: str, table_format: str = "float32") -> Student:
    config = StudentConfig(
        hidden_dim=8,
        num_cells=1,
        num_nodes=2,
        precision=table_format,
    )
    genotype = Genotype.from_primitives(2, [list(operations)])
    return build_student(genotype, config, len(KEYS), 6, seed=1)


def request() -> dict[str, np.ndarray]:
    return request_arrays(HISTORY, 5, True)


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
@pytest.mark.slow
def test_a_session_answers_what_the_bundle_answers(tmp_path: Path, table_format: str) -> None:
    directory = str(tmp_path / "bundle")
    write_bundle(
        student_of("conv_3", "skip", "max_pool_3", table_format=table_format),
        ItemVocabulary(KEYS),
        directory,
        max_length=6,
        seen="exclude",
        genotype_json=None,
        manifest={},
        warmup_histories=[],
    )
    functions = TfSession().load(directory)
    recommender = Recommender.load(directory)
    assert functions.keys() == recommender.signatures.keys()
    answer = functions[SIGNATURE](request())
    expected = recommender(HISTORY, 5, True)[0]
    assert [key.decode() for key in answer["item_ids"][0]] == [one.item_id for one in expected]
    np.testing.assert_allclose(answer["scores"][0], [one.score for one in expected], rtol=1e-6)


@pytest.mark.parametrize("table_format", StudentConfig.choices("precision"))
def test_models_of_one_session_are_each_themselves(tmp_path: Path, table_format: str) -> None:
    vocabulary = str(tmp_path / "vocabulary.txt")
    ItemVocabulary(KEYS).write(vocabulary)
    students = [
        student_of(*operations, table_format=table_format)
        for operations in (("conv_3", "skip", "skip"), ("none", "conv_5", "skip"))
    ]
    session = TfSession()
    answers, expected = [], []
    for number, student in enumerate(students):
        served = build_served_model(
            student, vocabulary, max_length=6, exclude_seen=True, names=(SIGNATURE,)
        )
        expected.append(served.signatures[SIGNATURE](**request_tensors(HISTORY, 5, True)))
        saved = str(tmp_path / str(number))
        tf.saved_model.save(served.module, saved, signatures=served.signatures)
        answers.append(session.load(saved)[SIGNATURE])
    for ask, tensors in zip(answers, expected, strict=True):
        np.testing.assert_allclose(ask(request())["scores"], tensors["scores"], rtol=1e-6)


@pytest.mark.parametrize(("dtype", "is_small"), [(tf.int8, True), (tf.float32, False)])
def test_floats_alone_make_a_model_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: tf.DType, is_small: bool
) -> None:
    model = tf.Module()
    model.table = tf.Variable(tf.zeros([1000], dtype))
    model.read = tf.function(lambda: {"sum": tf.reduce_sum(model.table)}, input_signature=[])
    tf.saved_model.save(model, str(tmp_path / "saved"), signatures={"read": model.read})
    made = []
    monkeypatch.setattr(tf_session, "_MIN_PARALLEL_BYTES", 1000)
    monkeypatch.setattr(TfSession, "_function", lambda *arguments: made.append(arguments))
    TfSession().load(str(tmp_path / "saved"))
    assert [arguments[-1] for arguments in made] == [is_small]
