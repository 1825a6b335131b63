"""StudentSearcher, StudentDistiller and RankingEvaluator, in the pipeline's order."""

import json
from pathlib import Path

import pytest
from tfx.types.standard_artifacts import Model, ModelBlessing, ModelEvaluation

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import Genotype
from components import artifacts
from components.artifacts import Recipe, Sequences, Vocabulary
from components.blessings import read_blessing
from components.model_artifact import bundle_dir, read_model
from components.ranking_evaluator import RankingEvaluator
from components.student_distiller import StudentDistiller
from components.student_searcher import StudentSearcher
from tests.event_files import read_scalars

# What is found has another width than the config.
STUDENT = StudentConfig(hidden_dim=6, num_cells=1, num_nodes=2)
SEARCH = SearchConfig(
    max_epochs=2, warmup_epochs=1, hidden_dims=(4, 8), front_size=3, front_quantity="macs"
)
METRICS = [
    "num_users",
    "models",
    "slices",
    "slice_intervals",
    "intervals",
    "student_against_teacher",
]
DISTILLATION = DistillationConfig(max_epochs=1, hidden_weight=1.0)


@pytest.mark.slow
def test_from_a_teacher_to_a_judged_student(
    tmp_path: Path, sequences: Sequences, vocabulary: Vocabulary, model: Model, recipe: Recipe
) -> None:
    made = {
        "recipe": artifacts.Recipe(),
        "genotype": artifacts.Genotype(),
        "student": Model(),
        "evaluation": ModelEvaluation(),
        "blessing": ModelBlessing(),
    }
    for name, artifact in made.items():
        artifact.uri = str(tmp_path / name)
        Path(artifact.uri).mkdir()
    checkpoints = tmp_path / "checkpoints"
    shared = {
        "sequences": sequences,
        "student_config": STUDENT.to_json(),
        "distillation_config": DISTILLATION.to_json(),
        "fixed": "",
        "compute_dtype": "float32",
        "seed": 1,
        "code_fingerprint": "code",
        "checkpoint_dir": str(checkpoints),
        "log_dir": str(tmp_path / "tensorboard"),
        "teacher": model,
    }

    given = {"recipe": recipe, "student_recipe": made["recipe"]}
    given |= {"max_bundle_bytes": 0, "max_teacher_share": 0.0}
    StudentSearcher.test_call(
        genotype=made["genotype"], search_config=SEARCH.to_json(), **given, **shared
    )
    genotype = Genotype.from_json(Path(made["genotype"].uri, "genotype.json").read_text())
    assert genotype.num_nodes == STUDENT.num_nodes
    assert genotype.hidden_dim in SEARCH.hidden_dims
    trace = Path(made["genotype"].uri, "search_trace.jsonl").read_text().splitlines()
    assert len(trace) == 4  # two epochs a width
    front = json.loads(Path(made["genotype"].uri, "front.json").read_text())
    assert 1 <= len(front["students"]) <= 3
    assert Genotype.from_dict(front["searched"]["genotype"]) == genotype

    # One of the front, in place of a search.
    chosen = artifacts.Genotype()
    chosen.uri = str(tmp_path / "chosen")
    Path(chosen.uri).mkdir()
    named = SEARCH.replace(genotype=str(Path(made["genotype"].uri, "front.json:1")))
    StudentSearcher.test_call(genotype=chosen, search_config=named.to_json(), **given, **shared)
    taken = Genotype.from_json(Path(chosen.uri, "genotype.json").read_text())
    assert taken == Genotype.from_dict(front["students"][0]["genotype"])
    assert [path.name for path in Path(chosen.uri).iterdir()] == ["genotype.json"]

    StudentDistiller.test_call(
        vocabulary=vocabulary,
        genotype=made["genotype"],
        recipe=made["recipe"],
        model=made["student"],
        **shared,
    )
    student = read_model(made["student"].uri)
    assert student.sequence_embedding.hidden_dim == genotype.hidden_dim
    # Projections to the teacher's width and masses are the distillation's alone.
    embedding = student.sequence_embedding
    fresh = build_student(genotype, STUDENT, embedding.num_items, embedding.max_length, seed=1)
    assert [v.shape for v in student.variables] == [v.shape for v in fresh.variables]
    stored = Path(bundle_dir(made["student"].uri), "assets.extra", "genotype.json").read_text()
    assert Genotype.from_json(stored) == genotype
    [record] = json.loads(Path(made["student"].uri, "history.json").read_text())
    assert "plan[1,1]" in record
    assert list(checkpoints.iterdir()) == []
    for width in SEARCH.hidden_dims:
        logged = read_scalars(tmp_path / "tensorboard" / "search" / f"width_{width}")
        assert len(logged["entropy"]) == 2
    logged = read_scalars(tmp_path / "tensorboard" / "student" / "train")
    assert len(logged["epoch_hidden_kd"]) == 1

    RankingEvaluator.test_call(
        sequences=sequences,
        vocabulary=vocabulary,
        teacher=model,
        student=made["student"],
        evaluation=made["evaluation"],
        blessing=made["blessing"],
        evaluation_config=EvaluationConfig(min_teacher_ndcg_share=1000.0).to_json(),
        code_fingerprint="code",
    )
    metrics = json.loads(Path(made["evaluation"].uri, "metrics.json").read_text())
    assert list(metrics) == METRICS
    assert list(metrics["models"]) == ["popularity", "markov", "item_knn", "teacher", "student"]
    # Every user walks on to the next item, which is all a Markov chain has to know.
    assert metrics["models"]["markov"]["hit_rate@10/full"] == 1.0
    is_blessed, reasons = read_blessing(made["blessing"])
    assert not is_blessed
    assert any("100000.0% asked" in reason for reason in reasons)
