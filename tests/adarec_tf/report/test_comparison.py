"""The comparison of models and the judgement of the student."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from adarec_tf.config.evaluation import EvaluationConfig
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.evaluation.baselines import BASELINES, ItemKNN, Markov
from adarec_tf.evaluation.protocols import evaluate_full, model_scorer
from adarec_tf.export.bundle import bundle_bytes, write_bundle
from adarec_tf.export.latency import Latency
from adarec_tf.models.model_cost import count_parameters
from adarec_tf.report import comparison as comparison_module
from adarec_tf.report.comparison import COST_KEYS, Blessing, Comparison, compare_models, judge
from tests.adarec_tf.tiny_scene import build_convolution_model, make_histories

NUM_ITEMS = 12
MAX_LENGTH = 5
TRAIN = make_histories([[1, 2, 3, 4], [2, 3, 5], [6, 7, 6, 7, 8]])
TEST_ITEMS = [[1, 2, 3], [2, 9], [6, 7, 8, 6, 7, 10]]
TEST = make_histories(TEST_ITEMS, [4, 3, 8])


def compare(
    tmp_path: Path, test: Any = TEST, others: tuple[Any, ...] = ()
) -> tuple[Comparison, dict[str, Any]]:
    """A teacher, beside others, and a student: how they compare, and the two models."""
    vocabulary = ItemVocabulary(tuple(f"item {number}" for number in range(NUM_ITEMS)))
    models = {
        "teacher": build_convolution_model(NUM_ITEMS, MAX_LENGTH),
        "student": build_convolution_model(NUM_ITEMS, MAX_LENGTH + 1),
    }
    for name, model in models.items():
        write_bundle(
            model,
            vocabulary,
            str(tmp_path / name),
            max_length=MAX_LENGTH,
            seen="exclude",
            genotype_json=None,
            manifest={},
            warmup_histories=[],
        )
    comparison = compare_models(
        [models["teacher"], *others],
        models["student"],
        TRAIN,
        test,
        statistics=SequenceStatistics(
            num_users=3,
            num_items=NUM_ITEMS,
            vocabulary_bytes=1234,
            num_interactions=18,
            removed={},
            repeat_share=0.0,
            seen="exclude",
            max_length=MAX_LENGTH,
            windows="last",
            data_fingerprint="toy",
        ),
        vocabulary=vocabulary,
        teacher_bundle=str(tmp_path / "teacher"),
        student_bundle=str(tmp_path / "student"),
        num_requests=5,
        k=3,
    )
    return comparison, models


def test_of_a_large_catalog_some_users_are_ranked_the_same_for_all_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_module, "_MOST_SCORES", 2 * NUM_ITEMS + 1)
    comparison, _ = compare(tmp_path)
    assert comparison.to_dict()["num_users"] == 2
    slices = comparison.accuracy.slices
    ranked = {
        sum(row["users"] for row in of.values())
        for kinds in slices.values()
        for of in kinds.values()
    }
    assert ranked == {2}


def test_every_model_has_a_full_row_of_its_own_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latencies = {"teacher": Latency(5.0, 9.0), "student": Latency(1.0, 3.0)}
    measured: list[tuple[Any, ...]] = []

    def measure(bundles: dict[str, str], *values: Any, **options: Any) -> dict[str, Latency]:
        measured.append((bundles, *values, options))
        return {name: latencies[Path(path).name] for name, path in bundles.items()}

    monkeypatch.setattr(comparison_module, "measure_latencies", measure)
    comparison, models = compare(tmp_path)
    # On what the users of the test split would send.
    [(_, requests, options)] = measured
    assert requests == [[f"item {number - 1}" for number in history] for history in TEST_ITEMS]
    assert options == {"k": 3, "num_requests": 5}
    assert comparison.num_users == len(TEST_ITEMS)
    rows = comparison.rows
    assert list(rows) == ["popularity", "markov", "item_knn", "teacher", "student"]
    options = {
        "num_items": NUM_ITEMS,
        "max_length": MAX_LENGTH,
        "seen": "exclude",
        "cutoffs": (1, 3, 5, 10, 20),
    }
    scorers = {
        "markov": Markov().scorer(TRAIN, NUM_ITEMS),
        "item_knn": ItemKNN().scorer(TRAIN, NUM_ITEMS),
        **{name: model_scorer(model) for name, model in models.items()},
    }
    for name, scorer in scorers.items():
        metrics = evaluate_full(scorer, TEST, **options)
        assert {key: rows[name][key] for key in metrics} == pytest.approx(metrics, rel=1e-12)
    for name, model in models.items():
        shown = {"catalog_coverage@3/full", "mean_recommended_popularity@3/full"}
        assert set(rows[name]) == set(metrics) | shown | set(COST_KEYS)
        assert rows[name]["parameters"] == count_parameters(model).total
        assert rows[name]["embedding_parameters"] == count_parameters(model).embedding
        assert rows[name]["encoder_macs"] == MAX_LENGTH * 3 * 6 * 6
        assert rows[name]["bundle_bytes"] == bundle_bytes(str(tmp_path / name))
        latency = (rows[name]["latency_p50_ms"], rows[name]["latency_p99_ms"])
        assert latency == latencies[name]
    assert rows["teacher"]["parameters"] < rows["student"]["parameters"]
    for name in ("popularity", "markov", "item_knn"):
        assert set(rows[name]) == set(rows["teacher"])
        assert [rows[name][key] for key in COST_KEYS] == [None] * len(COST_KEYS)
    plain = comparison.to_dict()
    assert plain["models"] == rows
    assert json.loads(json.dumps(plain)) == plain


def test_what_several_teachers_know_together_has_a_row_that_costs_nothing(tmp_path: Path) -> None:
    other = build_convolution_model(NUM_ITEMS, MAX_LENGTH + 2)
    comparison, models = compare(tmp_path, others=(other,))
    assert list(comparison.rows)[3:] == ["teacher", "ensemble", "student"]
    of_teacher, of_other = model_scorer(models["teacher"]), model_scorer(other)

    def mean(*batch: Any) -> Any:
        return (np.asarray(of_teacher(*batch)) + np.asarray(of_other(*batch))) / 2

    options = {"num_items": NUM_ITEMS, "max_length": MAX_LENGTH, "seen": "exclude", "cutoffs": (5,)}
    expected = evaluate_full(mean, TEST, **options)
    rows = comparison.rows
    assert {key: rows["ensemble"][key] for key in expected} == pytest.approx(expected, rel=1e-12)
    assert rows["ensemble"]["mrr@5/full"] != rows["teacher"]["mrr@5/full"]
    assert [rows["ensemble"][key] for key in COST_KEYS] == [None] * len(COST_KEYS)


def test_no_test_histories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one test history"):
        compare(tmp_path, test=TEST.take(np.zeros(0, int)))


def judge_figures(
    student_ndcg: float,
    latency_ms: float,
    teacher_ndcg: float = 0.1,
    baselines: Mapping[str, float] = MappingProxyType({}),
    **budget: float,
) -> Blessing:
    rows = {
        **{name: {"ndcg@10/full": baselines.get(name, 0.0)} for name in BASELINES},
        "teacher": {"ndcg@10/full": teacher_ndcg, "latency_p50_ms": 9.0, "bundle_bytes": 1000},
        "student": {
            "ndcg@10/full": student_ndcg,
            "latency_p50_ms": latency_ms,
            "bundle_bytes": 201,
        },
    }
    config = EvaluationConfig(min_teacher_ndcg_share=0.9, max_latency_ms=5.0, **budget)
    return judge(rows, config)


def test_a_student_that_keeps_enough_and_is_fast_is_blessed() -> None:
    blessing = judge_figures(0.09712, 1.234)
    assert blessing.is_blessed
    assert blessing.reasons == (
        "The student keeps 97.1% of the teacher's NDCG@10 (at least 90.0% asked).",
        "The student answers in 1.23 ms at the median (at most 5.00 ms asked); its "
        "teacher in 9.00 ms.",
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("popularity", "has no sequence in it"),
        ("markov", "The last item says nearly all"),
        ("item_knn", "Which items go together"),
    ],
)
def test_where_a_baseline_is_better_it_is_said_and_what_that_says_of_the_log(
    name: str, said: str
) -> None:
    blessing = judge_figures(0.1, 1.0, baselines={name: 0.1234})
    assert f"{name}, with 0.1234 beside 0.1000" in blessing.reasons[-1]
    assert said in blessing.reasons[-1]
    assert judge_figures(0.1, 1.0, baselines={name: 0.1}).reasons == blessing.reasons[:-1]


def test_a_student_that_lost_too_much_is_not_blessed() -> None:
    blessing = judge_figures(0.08996, 1.0)
    assert not blessing.is_blessed
    assert blessing.reasons[0] == (
        "The student keeps only 89.9% of the teacher's NDCG@10 (at least 90.0% asked)."
    )


def test_a_slow_student_is_not_blessed() -> None:
    blessing = judge_figures(0.2, 5.01)
    assert not blessing.is_blessed
    assert blessing.reasons == (
        "The student keeps 200.0% of the teacher's NDCG@10 (at least 90.0% asked).",
        "The student needs too long: it answers in 5.01 ms at the median (at most 5.00 ms asked); "
        "its teacher in 9.00 ms.",
    )


def test_a_teacher_that_learned_nothing_blesses_no_student() -> None:
    blessing = judge_figures(0.05, 1.0, teacher_ndcg=0.0)
    assert not blessing.is_blessed
    assert "NDCG@10 is 0" in blessing.reasons[0]


@pytest.mark.parametrize(
    ("budget", "is_blessed", "asked"),
    [
        ({"max_bundle_bytes": 200}, False, "is too large: it has 201 bytes (at most 200 asked)"),
        ({"max_bundle_bytes": 201}, True, "has 201 bytes (at most 201 asked)"),
        ({"max_teacher_share": 0.2}, False, "is too large: it has 201 bytes (at most 200 asked)"),
        ({"max_teacher_share": 0.3, "max_bundle_bytes": 250}, True, "(at most 250 asked)"),
    ],
)
def test_a_bundle_has_to_keep_its_budget(
    budget: dict[str, float], is_blessed: bool, asked: str
) -> None:
    blessing = judge_figures(0.1, 1.0, **budget)
    assert blessing.is_blessed == is_blessed
    assert asked in blessing.reasons[-1]
