"""The RankingEvaluator on its own: a model against itself."""

import json
from pathlib import Path

from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation

from adarec_tf.config.evaluation import EvaluationConfig
from components.artifacts import Sequences, Vocabulary
from components.blessings import read_blessing
from components.ranking_evaluator import RankingEvaluator
from tests.components.conftest import NUM_USERS, make_artifact


def test_metrics_hold_all_figures_of_all_models(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, model: Model
) -> None:
    evaluation = make_artifact(ModelEvaluation, tmp_path / "evaluation")
    blessing = make_artifact(ModelBlessing, tmp_path / "blessing")
    config = EvaluationConfig(min_teacher_ndcg_share=1.0, max_latency_ms=1000.0)
    RankingEvaluator.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=model,
        student=model,
        evaluation=evaluation,
        blessing=blessing,
        evaluation_config=config.to_json(),
        code_fingerprint="code",
    )
    metrics = json.loads(Path(evaluation.uri, "metrics.json").read_text())
    names = ["models", "slices", "slice_intervals", "intervals", "student_against_teacher"]
    assert list(metrics) == names
    models = metrics["models"]
    assert list(models) == ["popularity", "markov", "item_knn", "teacher", "student"]
    # Every user walks on to the next item, which is all a Markov chain has to know.
    assert models["markov"]["hit_rate@1/full"] == models["markov"]["hit_rate@20/full"] == 1.0
    assert models["item_knn"]["parameters"] is None
    assert metrics["slices"]["student"]["history_length"]["5-9"]["users"] == NUM_USERS
    assert metrics["slices"]["student"]["history_length"]["1-4"]["ndcg@10/full"] is None
    # All users are in one slice of this kind, and none in the others.
    assert metrics["slice_intervals"]["student"]["history_length"] == {
        "5-9": metrics["intervals"]["student"]["ndcg@10/full"]
    }
    assert metrics["intervals"]["student"] == metrics["intervals"]["teacher"]
    assert metrics["student_against_teacher"]["ndcg@10/full"] == {
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p_value": 1.0,
    }
    is_blessed, _ = read_blessing(blessing)
    assert is_blessed
