"""Rows of the docs' tables about whole runs: what one command came to, and what its recipe tried.

Each function makes the rows of one stored result from its name and its content; a row is a dict
from column to cell. `tables.py` puts them into the documents.
"""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Row = dict[str, str]

NDCG, HIT_RATE = "ndcg@10/full", "hit_rate@10/full"


def scenes(stored_name: str, stored: dict[str, Any]) -> list[Row]:
    """Whole runs: every model of a scene."""
    rows = []
    for name, model in stored["result"]["models"].items():
        is_trained = model["parameters"] is not None
        rows.append(
            {
                "scene": _scene_of(stored_name),
                "model": name,
                "HR@10": f"{model[HIT_RATE]:.4f}",
                "NDCG@10": f"{model[NDCG]:.4f}",
                "MRR@10": f"{model['mrr@10/full']:.4f}",
                "parameters": f"{model['parameters']:,}" if is_trained else "",
                "encoder MACs": f"{model['encoder_macs']:,}" if is_trained else "",
                "bundle": f"{model['bundle_bytes'] / 1e6:.2f} MB" if is_trained else "",
                "latency p50 / p99": f"{_p50_p99(model)} ms" if is_trained else "",
            }
        )
    return rows


def _scene_of(name: str) -> str:
    """The scene of a stored run, and the effort where it is not the standard one."""
    return name.removeprefix("scene_").removesuffix("_standard").replace("_quick", ", quick")


def recipes(name: str, stored: dict[str, Any]) -> list[Row]:
    """Whole runs of logs without any setting: what one command gave."""
    models = stored["result"]["models"]
    teacher, student = models["teacher"], models["student"]
    baseline = max((models[name] for name in ("popularity", "markov", "item_knn")), key=_ndcg)
    seconds = stored["result"]["seconds"]
    return [
        {
            "scene": _scene_of(name),
            "best baseline": f"{_ndcg(baseline):.4f}",
            "teacher": f"{_ndcg(teacher):.4f}",
            "teachers together": f"{_ndcg(models['ensemble']):.4f}" if "ensemble" in models else "",
            "student": f"{_ndcg(student):.4f}",
            "share": f"{_ndcg(student) / _ndcg(teacher):.1%}",
            "bundle": " → ".join(f"{of['bundle_bytes'] / 1e6:.2f}" for of in (teacher, student))
            + " MB",
            "latency p50": " → ".join(f"{of['latency_p50_ms']:.2f}" for of in (teacher, student))
            + " ms",
            "minutes": f"{stored['wall_s'] / 60:.0f}",
            "of the CPU": f"{stored['cpu_s'] / 60:.0f}" if "cpu_s" in stored else "",
            "in trials": f"{seconds.get('TeacherTuner', 0) / stored['wall_s']:.0%}",
        }
    ]


def repeats(name: str, stored: dict[str, Any]) -> list[Row]:
    """Runs of a scene with other seeds, or another effort, a row each."""
    scene = name.removeprefix("repeats_").removesuffix("_quick")
    standard = json.loads((RESULTS / f"scene_{scene}_standard.json").read_text())
    usual = _ndcg(standard["result"]["models"]["student"])
    rows = []
    for run in stored["repeats"]:
        figures = run[NDCG]
        rows.append(
            {
                "scene": scene,
                "options": f"`{_without_log(run['command']) or 'none'}`",
                "teacher": f"{figures['teacher']:.4f}",
                "teachers together": f"{figures['ensemble']:.4f}" if "ensemble" in figures else "",
                "student": f"{figures['student']:.4f}",
                "of the table's": f"{figures['student'] / usual:.1%}",
                "bundle": f"{run['bundle_bytes'] / 1e6:.2f} MB",
                "minutes": f"{run['minutes']:.0f}",
            }
        )
    return rows


def _without_log(command: str) -> str:
    """The options of `adarec run` that are not the log."""
    words = iter(shlex.split(command)[2:])
    return " ".join(word for word in words if word != "--data" or not next(words))


def quickstart(_: str, stored: dict[str, Any]) -> list[Row]:
    """The models of the README's script."""
    return [
        {
            "model": name,
            "HR@10": f"{row['hit_rate@10']:.4f}",
            "NDCG@10": f"{row['ndcg@10']:.4f}",
            "MRR@10": f"{row['mrr@10']:.4f}",
        }
        for name, row in stored["models"].items()
    ]


def trials(name: str, stored: dict[str, Any]) -> list[Row]:
    """What was tried in a run, and how it did on validation."""
    return [
        {
            "scene": _scene_of(name),
            "candidate": _code(trial["candidate"]),
            "epochs": f"{trial['epochs']}",
            "valid NDCG@10": "lost" if trial["ndcg"] is None else f"{trial['ndcg']:.4f}",
        }
        for trial in stored.get("recipe", {}).get("trials", ())
    ]


def regrets(name: str, stored: dict[str, Any]) -> list[Row]:
    """What a run without trials would have lost, by the longest trials, and a family by the first.

    All by validation figures of trials, relative to the best of equal length.
    """
    if not stored["recipe"]["trials"]:
        return []
    first, last = _rounds(stored["recipe"]["trials"])
    best, chosen = max(last, key=lambda candidate: last[candidate]), _chosen(stored, last)

    def regret(of: dict[str, float], candidate: str) -> str:
        return f"{1 - of[candidate] / max(of.values()):.1%}" if candidate in of else ""

    return [
        {
            "scene": _scene_of(name),
            "best in the last round": _code(best),
            "chosen": _code(chosen),
            "the profile's regret": regret(last, "profile"),
            "the choice's": regret(last, chosen),
            "first round: best": _code(max(first, key=lambda candidate: first[candidate])),
            "SASRec's regret": regret(first, "profile"),
            "NextItNet's": regret(first, "teacher.name=nextitnet"),
        }
    ]


def random_trials(name: str, stored: dict[str, Any]) -> list[Row]:
    """A recipe's trials beside random search, by the longest trials of each."""
    scene = name.removeprefix("random_trials_")
    run = json.loads((RESULTS / f"scene_{scene}_standard.json").read_text())
    _, last = _rounds(run["recipe"]["trials"])
    rows = []
    for search in stored["searches"]:
        _, drawn = _rounds(search["trials"])
        best = max(drawn, key=lambda candidate: drawn[candidate])
        rows.append(
            {
                "scene": scene,
                "draws": f"{search['seed']}",
                "profile": f"{last['profile']:.4f}",
                "chosen by the recipe": f"{last[_chosen(run, last)]:.4f}",
                "best of random search": f"{drawn[best]:.4f}",
                "of": ", ".join(part.partition("=")[2] for part in best.split(", ")),
            }
        )
    return rows


def _rounds(trials: Sequence[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Candidates to NDCG@10 on validation, in the first round and in the last."""
    figures: dict[int, dict[str, float]] = {}
    for trial in trials:
        if trial["ndcg"] is not None:
            figures.setdefault(trial["epochs"], {})[trial["candidate"]] = trial["ndcg"]
    return figures[min(figures)], figures[max(figures)]


def _chosen(run: dict[str, Any], last: dict[str, float]) -> str:
    """The candidate that a run decided for; `last` is its last round."""
    decisions = {f"{name}={value}" for name, value in run["recipe"]["decisions"].items()}
    made = [one for one in last if decisions.issuperset(one.split(", "))]
    return max(made, key=lambda one: one.count(","), default="profile")


def _code(candidate: str) -> str:
    """Its changes, each in code marks."""
    return ", ".join(f"`{change}`" for change in candidate.split(", "))


def _ndcg(model: dict[str, Any]) -> float:
    return float(model[NDCG])


def _p50_p99(model: dict[str, Any]) -> str:
    return f"{model['latency_p50_ms']:.2f} / {model['latency_p99_ms']:.2f}"
