"""Rows of the docs' tables about models: accuracy, distillation, searches and their costs.

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


def mark(stored: dict[str, Any]) -> str:
    """A dagger beside what was made with a setting that is gone."""
    return " †" if "needs_commit" in stored else ""


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
                "options": f"`{_without_log(run['command'])}`",
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


def _over_seeds(stored: dict[str, Any], part: str, metric: str) -> str:
    value = stored["over_seeds"][part][metric]
    deviation = f" ± {value['sd']:.4f}" if len(stored["seeds"]) > 1 else ""
    return f"{value['mean']:.4f}{deviation}"


def _test_metrics(stored: dict[str, Any]) -> Row:
    """The test metrics: seen items as the scene has them, and kept."""
    as_in_scene = f"test_seen_{stored['seen']}"
    return {
        "HR@10": _over_seeds(stored, as_in_scene, HIT_RATE),
        "NDCG@10": _over_seeds(stored, as_in_scene, NDCG),
        "HR@10, seen kept": _over_seeds(stored, "test_seen_keep", HIT_RATE),
        "NDCG@10, seen kept": _over_seeds(stored, "test_seen_keep", NDCG),
    }


def teachers(_: str, stored: dict[str, Any]) -> list[Row]:
    """A teacher of a scene."""
    teacher, markov = stored["teacher"], stored["baselines"]["markov"][stored["seen"]]
    sizes = f"{teacher['num_blocks']} x {teacher['hidden_dim']}"
    minutes = max(row["train_s"] for row in stored["seeds"]) / 60
    return [
        {
            "scene": stored["scene"],
            "teacher": f"{teacher['name']} {sizes}, {stored['training']['loss']}{mark(stored)}",
            "seen": stored["seen"],
            **_test_metrics(stored),
            "valid NDCG@10": _over_seeds(stored, "valid", NDCG),
            "Markov HR / NDCG": f"{markov[HIT_RATE]:.4f} / {markov[NDCG]:.4f}",
            "seeds": f"{len(stored['seeds'])}",
            "training, threads": f"{minutes:.0f} min on {stored['threads']}",
        }
    ]


def distilled(_: str, stored: dict[str, Any]) -> list[Row]:
    """A student, and what taught it."""
    shares, cost = stored["gap_closed"], stored["cost"]
    gap = f"{shares[HIT_RATE]:.0%} / {shares[NDCG]:.0%}" if shares else ""
    return [
        {
            "scene": stored["scene"],
            "student and teacher": f"{stored['label']}{mark(stored)}",
            **_test_metrics(stored),
            "gap": gap,
            "valid NDCG@10": _over_seeds(stored, "valid", NDCG),
            "encoder MACs": f"{cost['encoder_macs']:,}",
            "item table": f"{cost['parameters']['table_bytes'] / 1e3:,.0f} kB",
            "seeds": f"{len(stored['seeds'])}",
        }
    ]


# A student of a scene, its bundle and its teacher's: names of stored results and their models.
HEADLINE = {
    "distilled_beauty_64_int4": ("bundles_beauty", "sasrec_2x64", "beauty_64_int4-1"),
    "distilled_ml1m": ("bundles_ml1m", "teacher-1", "ml1m-1"),
    "distilled_nowplaying": ("bundles_nowplaying", "teacher-1", "nowplaying-1"),
    "distilled_retailrocket": ("bundles_retailrocket", "teacher-1", "retailrocket-1"),
}


def headline(name: str, stored: dict[str, Any]) -> list[Row]:
    """One student a scene beside what taught it."""
    if name not in HEADLINE:
        return []
    bundle, teacher_name, student_name = HEADLINE[name]
    models = json.loads((RESULTS / f"{bundle}.json").read_text())["models"]
    both = [models[teacher_name], models[student_name]]
    part = f"test_seen_{stored['seen']}"
    taught_by = stored["over_seeds"][f"teacher_{part}"][NDCG]["mean"]
    reached = stored["over_seeds"][part][NDCG]["mean"]
    return [
        {
            "scene": stored["scene"],
            "taught by, NDCG@10": f"{taught_by:.4f}",
            "student, NDCG@10": _over_seeds(stored, part, NDCG),
            "share": f"{reached / taught_by:.1%}",
            "seeds": f"{len(stored['seeds'])}",
            "bundle": " → ".join(f"{of['bundle_bytes'] / 1e6:.2f}" for of in both) + " MB",
            "MACs of a request": " → ".join(f"{of['served_macs']:,}" for of in both),
            "latency p50": " → ".join(f"{of['latency_p50_ms']:.2f}" for of in both) + " ms",
        }
    ]


def bundles(name: str, stored: dict[str, Any]) -> list[Row]:
    """Exported models of a scene, asked in turns in one process."""
    return [
        {
            "scene": name.split("_")[1],
            "model": f"`{model}`{mark(row)}",
            "bundle": f"{row['bundle_bytes'] / 1e3:,.0f} kB",
            "item table": f"{row['parameters']['table_bytes'] / 1e3:,.0f} kB",
            "MACs, all positions": f"{row['encoder_macs']:,}",
            "MACs of a request": f"{row['served_macs']:,}",
            "latency p50 / p99, ms": _p50_p99(row),
        }
        for model, row in stored["models"].items()
    ]


def ranks(_: str, stored: dict[str, Any]) -> list[Row]:
    """What the scores of a teacher are worth at a lower rank."""
    return [
        {
            "rank": rank,
            "valid HR@10": f"{metrics[HIT_RATE]:.4f}",
            "valid NDCG@10": f"{metrics[NDCG]:.4f}",
        }
        for rank, metrics in stored["ranks"].items()
    ]


def searches(name: str, stored: dict[str, Any]) -> list[Row]:
    """A search: its shape, its time and what it lost by taking the likeliest operations."""
    student, search, lost = stored["student"], stored["search"], stored.get("discretization")
    best = max(stored["candidates"][f"valid {NDCG}"])
    threads = _option(stored, "--threads")
    return [
        {
            "search": f"`{name.removeprefix('search_')}`{mark(stored)}",
            "scene": stored["scene"],
            "method": search.get("method", "bilevel"),
            "cells × nodes, width": f"{student['num_cells']} × {student['num_nodes']}, "
            f"{student['hidden_dim']}",
            "epochs (alphas)": f"{stored['epochs']} ({stored['epochs_with_alphas']})",
            "seconds, threads": f"{stored['seconds']:.0f} on {threads}",
            "best candidate, valid NDCG@10": f"{best:.4f}",
            "likeliest against drawn": f"{-lost['gap']:+.2%}" if lost else "",
        }
    ]


def _option(stored: dict[str, Any], name: str) -> str:
    words = shlex.split(stored["command"])
    return words[words.index(name) + 1]


def genotypes(name: str, stored: dict[str, Any]) -> list[Row]:
    """An architecture, cell by cell: the operations into each node."""
    cells = []
    for edges in stored["cells"]:
        targets = sorted({target for _, target, _ in edges})
        cells.append(
            "; ".join(
                " + ".join(
                    f"{operation}({source})" for source, to, operation in edges if to == node
                )
                for node in targets
            )
        )
    return [{"genotype": f"`{name.removeprefix('genotype_')}`", "cells": "<br>".join(cells)}]


def search_throughput(_: str, stored: dict[str, Any]) -> list[Row]:
    """How fast the search trains."""
    return [
        {
            "positions a batch": f"{stored['search']['positions_per_batch']:,}",
            "both steps, positions/s": f"{stored['positions_per_second']:,.0f}",
            "the weights' alone": f"{stored['weight_positions_per_second']:,.0f}",
            "released code": f"{stored['released_code_positions_per_second']:,}",
        }
    ]


def architectures(_: str, stored: dict[str, Any]) -> list[Row]:
    """Searched students among random ones; Kendall's tau stands beside its supernet's."""
    judged, student = stored[NDCG]["test"], stored["student"]
    chance, supernet = judged["random"], stored["supernet"]
    num_random = sum(entry["kind"] == "random" for entry in stored["architectures"])
    ranked = {}
    if supernet:
        search = _option(stored, "--supernet").removeprefix("search_")
        taus = [supernet[f"tau_{part}"]["tau"] for part in ("valid", "test")]
        ranked[f"genotype_{search}"] = ", ".join(f"{tau:.2f}" for tau in taus)
    return [
        {
            "scene": f"{stored['scene']}, {stored['users']:,} users",
            "cells × nodes": f"{student['num_cells']} × {student['num_nodes']}",
            "genotype": f"`{name.removeprefix('genotype_')}`",
            "random: median ± SD": f"{chance['median']:.4f} ± {chance['sd']:.4f}",
            "best random": f"{chance['max']:.4f}",
            "searched": f"{found['mean']:.4f}",
            "above the median, in SD": f"{found['margin_in_sd']:+.2f}",
            "random ones beaten": f"{round(found['beats_share'] * num_random)} of {num_random}",
            "hand-made": f"{judged['hand-made']:.4f}",
            "Kendall's tau: valid, test": ranked.get(name, "–"),
        }
        for name, found in judged["searched"].items()
    ]


def transfer(_: str, stored: dict[str, Any]) -> list[Row]:
    """Every scene's genotype trained on every scene; a scene's best is bold."""
    rows = []
    for scene, row in stored[f"test {NDCG}"].items():
        cells = {}
        for name, mean in row["mean"].items():
            deviation = row["sd"][name]
            text = f"{mean:.4f}" + ("" if deviation is None else f" ± {deviation:.4f}")
            is_best = mean == max(row["mean"].values())
            cells[f"genotype of {name}"] = f"**{text}**" if is_best else text
        rows.append({"trained on": scene, **cells})
    return rows


def predicted(_: str, stored: dict[str, Any]) -> list[Row]:
    """How near the cost table comes to exported students."""
    students, shape = stored["students"], stored["shape"]
    within = round(stored["share_within_15_percent"] * len(students))
    # Item tables had a format of their own once, and convolutions another.
    precision = shape.get("precision") or shape["item_table"]["format"]
    return [
        {
            "width, precision": f"{shape['hidden_dim']}, {precision}{mark(stored)}",
            "cells × nodes": f"{shape['num_cells']} × {shape['num_nodes']}",
            "within 15%": f"{within} of {len(students)}",
            "median error": f"{stored['median_error']:.1%}",
            "largest error": f"{stored['largest_error']:.1%}",
        }
    ]
