"""The RankingEvaluator on its own: two models that were never trained."""

import json
import shutil
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.storage.history_files import read_histories
from adarec_tf.export.bundle import bundle_bytes
from adarec_tf.models.model_cost import count_parameters
from adarec_tf.models.teachers import build_teacher
from components.artifacts import Sequences, Vocabulary
from components.blessings import read_blessing
from components.model_artifact import bundle_dir, read_model, read_vocabulary, write_model
from components.ranking_evaluator import RankingEvaluator
from tests.components.conftest import MAX_LENGTH, NUM_ITEMS, NUM_USERS, make_artifact
from tests.references.ranking_metrics import metrics_of_ranks, rank_of_target


@pytest.fixture
def student(
    sequences: Sequences, vocabulary: Vocabulary, statistics: SequenceStatistics, tmp_path: Path
) -> Model:
    made = make_artifact(Model, tmp_path / "student")
    write_model(
        made.uri,
        build_teacher(NextItNetConfig(hidden_dim=4, num_blocks=1), NUM_ITEMS, MAX_LENGTH, seed=3),
        [],
        statistics=statistics,
        vocabulary=read_vocabulary(vocabulary.uri),
        test=read_histories(sequences.uri, "test"),
        manifest={"role": "student"},
    )
    return made


def _metrics(model: Model, sequences: Sequences) -> dict[str, float]:
    """Counted one by one on the test targets, without the items seen."""
    test = read_histories(sequences.uri, "test")
    scores = read_model(model.uri).predict(test, verbose=0)
    ranks = [
        rank_of_target(list(row), target, list(test.history(user)), True)
        for user, (row, target) in enumerate(zip(scores, test.targets, strict=True))
    ]
    return {**metrics_of_ranks(ranks, 5), **metrics_of_ranks(ranks, 10)}


def test_metrics_hold_all_figures_of_all_models(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, model: Model, student: Model
) -> None:
    evaluation = make_artifact(ModelEvaluation, tmp_path / "evaluation")
    blessing = make_artifact(ModelBlessing, tmp_path / "blessing")
    expected = {"teacher": _metrics(model, sequences), "student": _metrics(student, sequences)}
    ndcg = {name: metrics["ndcg@10/full"] for name, metrics in expected.items()}
    kept = ndcg["student"] / ndcg["teacher"]
    assert kept != pytest.approx(1.0, abs=0.01)
    config = EvaluationConfig(min_teacher_ndcg_share=0.999 * kept, max_latency_ms=1000.0)
    RankingEvaluator.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=model,
        student=student,
        evaluation=evaluation,
        blessing=blessing,
        evaluation_config=config.to_json(),
        code_fingerprint="code",
    )
    metrics = json.loads(Path(evaluation.uri, "metrics.json").read_text())
    names = [
        "num_users",
        "models",
        "slices",
        "slice_intervals",
        "intervals",
        "student_against_teacher",
    ]
    assert list(metrics) == names
    assert metrics["num_users"] == NUM_USERS
    models = metrics["models"]
    assert list(models) == ["popularity", "markov", "item_knn", "teacher", "student"]
    for name, artifact in (("teacher", model), ("student", student)):
        assert {key: models[name][key] for key in expected[name]} == pytest.approx(expected[name])
        parameters = count_parameters(read_model(artifact.uri)).total
        assert models[name]["parameters"] == parameters
        assert models[name]["bundle_bytes"] == bundle_bytes(bundle_dir(artifact.uri))
    # Every user walks on to the next item, which is all a Markov chain has to know.
    assert models["markov"]["hit_rate@1/full"] == models["markov"]["hit_rate@20/full"] == 1.0
    assert models["item_knn"]["parameters"] is None
    slices = metrics["slices"]["student"]["history_length"]
    assert slices["5-9"]["users"] == NUM_USERS
    assert slices["5-9"]["ndcg@10/full"] == pytest.approx(ndcg["student"])
    assert slices["1-4"]["ndcg@10/full"] is None
    # All users are in one slice of this kind, and none in the others.
    assert metrics["slice_intervals"]["student"]["history_length"] == {
        "5-9": metrics["intervals"]["student"]["ndcg@10/full"]
    }
    for name in ndcg:
        interval = metrics["intervals"][name]["ndcg@10/full"]
        assert interval["low"] < ndcg[name] < interval["high"]
    paired = metrics["student_against_teacher"]["ndcg@10/full"]
    assert paired["difference"] == pytest.approx(ndcg["student"] - ndcg["teacher"])
    assert paired["low"] < paired["difference"] < paired["high"]
    is_blessed, [reason, *_] = read_blessing(blessing)
    assert is_blessed
    assert f"{int(1000 * kept) / 10:.1f}% of the teacher's NDCG@10" in reason


def test_several_teachers_are_compared_together_as_well(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, model: Model, student: Model
) -> None:
    other = build_teacher(
        NextItNetConfig(hidden_dim=8, num_blocks=1), NUM_ITEMS, MAX_LENGTH, seed=9
    )
    several = make_artifact(Model, tmp_path / "teachers")
    shutil.copytree(model.uri, several.uri, dirs_exist_ok=True)
    other.save(Path(several.uri, "member_2.keras"))
    evaluation = make_artifact(ModelEvaluation, tmp_path / "evaluation")
    RankingEvaluator.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=several,
        student=student,
        evaluation=evaluation,
        blessing=make_artifact(ModelBlessing, tmp_path / "blessing"),
        evaluation_config=EvaluationConfig().to_json(),
        code_fingerprint="code",
    )
    rows = json.loads(Path(evaluation.uri, "metrics.json").read_text())["models"]
    assert list(rows)[3:] == ["teacher", "ensemble", "student"]
    first = _metrics(model, sequences)
    assert {key: rows["teacher"][key] for key in first} == pytest.approx(first)
    assert rows["ensemble"]["mrr@10/full"] != rows["teacher"]["mrr@10/full"]
