"""What a report says of a run that never was, for tests of pages."""

import copy
from typing import Any

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.evaluation.uncertainty import Interval, PairedTest
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.facts import FORMAT_VERSION, Facts
from adarec_tf.watch.drift import EventStatistics
from adarec_tf.watch.scene_check import SceneCheck, Signal
from tests.adarec_tf.hand_made_recipe import recipe

GENOTYPE = Genotype.from_primitives(2, [["conv_3", "skip", "dilated_2_conv_5"]] * 2)
NDCG = {"popularity": 0.02, "markov": 0.11, "item_knn": 0.12, "teacher": 0.25, "student": 0.2}
_COSTS = ("parameters", "embedding_parameters", "encoder_macs", "bundle_bytes", "latency_p50_ms")
_SLICES = {"history_length": ("1-4", "5-9"), "target_popularity": ("head", "tail")}


def _row(model: str) -> dict[str, Any]:
    ndcg, costs = NDCG[model], dict.fromkeys((*_COSTS, "latency_p99_ms"))
    if model in ("teacher", "student"):
        scale = 4 if model == "teacher" else 1
        values = (1000, 600, 5000, 80_000, 0.5, 0.75)
        costs = {name: scale * value for name, value in zip(costs, values, strict=True)}
    ranking = {"ndcg@10/full": ndcg, "hit_rate@10/full": 2 * ndcg, "mrr@10/full": ndcg / 2}
    return {**ranking, "catalog_coverage@10/full": 0.5, **costs}


def _interval(model: str) -> dict[str, float]:
    return {"mean": NDCG[model], "low": NDCG[model] - 0.01, "high": NDCG[model] + 0.01}


def _metrics() -> dict[str, Any]:
    row = {"users": 3}
    return {
        "models": {model: _row(model) for model in NDCG},
        "slices": {
            model: {
                kind: {name: {**row, "ndcg@10/full": NDCG[model]} for name in names}
                for kind, names in _SLICES.items()
            }
            for model in NDCG
        },
        "slice_intervals": {
            model: {kind: {n: _interval(model) for n in names} for kind, names in _SLICES.items()}
            for model in NDCG
        },
        "intervals": {model: {"ndcg@10/full": _interval(model)} for model in NDCG},
        "student_against_teacher": {
            "ndcg@10/full": {"difference": -0.05, "low": -0.07, "high": -0.03, "p_value": 0.001}
        },
    }


def _trace() -> list[dict[str, Any]]:
    cost = {"parameters": 11, "macs": 2_000_000, "served_bytes": 33, "latency_ms": 0.0}
    finalist = {"genotype": GENOTYPE.to_dict(), "ndcg@10/full": 0.1875}
    record = {
        "entropy": 0.5,
        "ndcg@10/full": 0.15,
        "alphas": [[0.0] * len(PRIMITIVES)] * 3,
        "costs": dict.fromkeys(PRIMITIVES, cost),
    }
    last = {"alphas_moved": True, "selection": {"num_validated": 9, "finalists": [finalist]}}
    return [{**record, "alphas_moved": False}, {**record, **last}]


def _student_history() -> list[dict[str, float]]:
    plan = {f"plan[{s},{t}]": 0.25 for s in (1, 2) for t in (1, 2)}
    masses = {f"{side}_mass[{n}]": 0.5 for side in ("student", "teacher") for n in (1, 2)}
    return [{**plan, **masses}] * 3


def facts(**changes: Any) -> Facts:
    """The facts of a run whose student was searched, taught by layers and pushed.

    Args:
      **changes: what is otherwise.
    """
    config, found = PipelineConfig(scene="tiny"), recipe(teacher__name="sasrec")
    student = {"genotype": GENOTYPE.to_dict(), "ndcg@10/full": 0.1875, "costs": {"macs": 5000}}
    shown = [f"item-{number}" for number in range(10)]
    made = {
        "format_version": FORMAT_VERSION,
        "scene": "tiny",
        "seed": 3,
        "metrics": _metrics(),
        "blessed": True,
        "reasons": ["Accurate enough.", "Fast enough."],
        "pushed_version": 4,
        "protocol": {"split": "leave-one-out", "num_test_users": 6},
        "statistics": {
            "num_users": 6,
            "num_items": 1234,
            "num_interactions": 5678,
            "removed": {"duplicate_interactions": 17},
            "repeat_share": 0.25,
            "seen": "exclude",
            "max_length": 20,
            "data_fingerprint": "f" * 64,
        },
        "time_span": [1_600_000_000.0, 1_700_000_000.0],
        "lengths": [("1", 2), ("2–3", 4)],
        "popularity": [(1, 90), (2, 7), (1234, 1)],
        "recipe": found.to_dict(),
        "settings": config.with_recipe(found).to_dict(),
        "genotype": GENOTYPE.to_dict(),
        "trace": _trace(),
        "front": {"quantity": "macs", "students": [student], "searched": student},
        "student_history": _student_history(),
        "examples": [
            {
                "history": [f"old-{number}" for number in range(12)],
                "target": "item-3",
                "teacher": shown,
                "student": [*shown[5:], *(f"other-{number}" for number in range(5))],
                "shared": 5,
            }
        ],
        "versions": {"keras": "9.8.7"},
        "origin": {"log": "/a b/log.csv", "continued_from": ""},
    }
    return {**copy.deepcopy(made), **changes}


def checks() -> list[dict[str, Any]]:
    """What `adarec watch` found of that run, two times."""
    interval = Interval(0.2, 0.19, 0.21)
    statistics = EventStatistics(0.02, 0.1, 0.05, 3.0, 0.5, None)
    gain = Signal("gain", 0.01, None, False, "models have aged")
    fine = SceneCheck(
        num_events=1234,
        until=1_600_086_400.0,
        student=(interval, interval),
        markov=(Interval(0.1, 0.09, 0.11), interval),
        gain=PairedTest(0.001, -0.001, 0.003, 0.3),
        statistics=(statistics, statistics),
        signals=(gain, Signal("interactions_per_user", 3.0, 2.75, False, "users do more")),
    )
    aged = fine._replace(signals=(gain._replace(is_raised=True), *fine.signals[1:]))
    days = {"2026-11-29": fine, "2026-11-30": aged}
    return [{"checked_at": f"{day}T02:00:00+00:00", **one.to_dict()} for day, one in days.items()]
