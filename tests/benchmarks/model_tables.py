"""Rows of the docs' tables about models: accuracy, distillation, searches and their costs.

Each function makes the rows of one stored result from its name and its content; a row is a dict
from column to cell. `tables.py` puts them into the documents.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
Row = dict[str, str]

NDCG, HIT_RATE = "ndcg@10/full", "hit_rate@10/full"


def mark(stored: dict[str, Any]) -> str:
    """A dagger beside what was made with a setting that is gone."""
    return " †" if "needs_commit" in stored else ""


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


def attention_distances(name: str, stored: dict[str, Any]) -> list[Row]:
    """SASRec with and without biases for distances, of one scene."""
    seeds = list(stored["seeds"].values())
    valid = {kind: np.mean([seed[kind]["valid"] for seed in seeds]) for kind in seeds[0]}
    return [
        {
            "scene": name.removeprefix("attention_distances_"),
            "epochs": f"{stored['epochs']}",
            **{f"{kind}, valid NDCG@10": f"{value:.4f}" for kind, value in valid.items()},
            "gain": f"{valid['distances'] / valid['places alone'] - 1:+.1%}",
            "seeds": f"{len(seeds)}",
        }
    ]


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
            "latency p50 / p99, ms": f"{row['latency_p50_ms']:.2f} / {row['latency_p99_ms']:.2f}",
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


def negatives(name: str, stored: dict[str, Any]) -> list[Row]:
    """A teacher of a scene with each loss."""
    return [
        {
            "scene": name.removeprefix("negatives_"),
            "items": f"{stored['items']:,}",
            "users": f"{stored['user_share']:.0%}",
            "negatives": row["negatives"],
            "NDCG@10, best epoch": f"{max(row['ndcg']):.4f}",
            "after the first": f"{row['ndcg'][0]:.4f}",
            "seconds an epoch": f"{row['epoch_s']:.0f}",
        }
        for row in stored["rows"]
    ]


def few_epochs(_: str, stored: dict[str, Any]) -> list[Row]:
    """Teachers and students of a large log."""
    return [
        {
            "model": row["model"],
            "trained": row["training"],
            "epochs": str(row["epochs"]),
            "NDCG@10": f"{row['ndcg']:.4f}",
            "seconds": str(row["train_s"]),
        }
        for row in stored["rows"]
    ]


def layer_terms(name: str, stored: dict[str, Any]) -> list[Row]:
    """What matching layers adds in each regime."""
    rows = []
    for regime, found in stored["regimes"].items():
        row = {
            "scene": name.removeprefix("layer_terms_"),
            "regime": regime,
            "teacher": f"{found['teacher']:.4f}",
        }
        labels = {
            "none": "no layers",
            "uniform": "equal steps, KL",
            "emd": "EMD, KL",
            "uniform, squared error": "equal steps, squared error",
            "emd, squared error": "EMD, squared error",
        }
        for mapping, label in labels.items():
            row[label] = f"{found[mapping]['mean']:.4f} ± {found[mapping]['sd']:.4f}"
        for gain in found["gains"]:
            column = f"{labels[gain['of']]}, over {labels[gain['over']]} (p)"
            row[column] = f"{gain['gain']:+.1%} ({gain['p']:.2f})"
        rows.append(row)
    return rows


def beyond_teacher(name: str, stored: dict[str, Any]) -> list[Row]:
    """Models beside the first teacher of the same seed."""
    rows, seeds = [], list(stored["seeds"].values())
    for model in seeds[0]:
        of_seeds = {
            split: np.array([seed[model][split] for seed in seeds]) for split in ("valid", "test")
        }
        row = {"scene": name.removeprefix("beyond_teacher_"), "model": model}
        for split, values in of_seeds.items():
            deviation = f" ± {values.std(ddof=1):.4f}" if len(seeds) > 1 else ""
            row[f"{split}, NDCG@10"] = f"{values.mean():.4f}{deviation}"
        first = np.array([seed["teacher"]["test"] for seed in seeds])
        row["over the teacher, test"] = f"{of_seeds['test'].mean() / first.mean() - 1:+.1%}"
        minutes = [seed[model]["train_s"] / 60 for seed in seeds if "train_s" in seed[model]]
        row["minutes"] = f"{np.mean(minutes):.1f}" if minutes else ""
        rows.append(row)
    return rows


def supernet_ranks(name: str, stored: dict[str, Any]) -> list[Row]:
    """How well supernets, and cheaper guesses, rank trained students."""
    scene = f"{name.removeprefix('supernet_rank_')}, {stored['students']['all']} students"
    measures = [name for name in next(iter(stored["supernets"].values())) if name[-2:] != "_s"]

    def row(by: str, seconds: str, found: dict[str, dict[str, float]]) -> Row:
        of_measures = {
            measure: f"{found[measure]['tau']:.2f} ({found[measure]['tau of random']:.2f}), "
            f"{found[measure]['place of the first']}"
            if measure in found
            else ""
            for measure in measures
        }
        return {"scene": scene, "ranked by": by, "seconds": seconds} | of_measures

    rows = [row(by, "", {measures[0]: found}) for by, found in stored["rankings"].items()]
    rows += [
        row(f"supernet, {supernet}", f"{found['train_s']:.0f} + {found['rank_s']:.1f} each", found)
        for supernet, found in stored["supernets"].items()
    ]
    ceiling = row("random students, their other seed", "", {})
    return [*rows, ceiling | {measures[0]: f"{stored['ceiling']:.2f}"}]


def _latency(found: float | None) -> str:
    return "–" if found is None else f"{found:.2f}"


def _volume(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.3f}" + (f" ± {sd:.3f}" if sd is not None else "")


def fronts(name: str, stored: dict[str, Any]) -> list[Row]:
    """What each method finds in equal time."""
    return [
        {
            "scene": f"{name.split('_')[1]}, {stored['users']:,} users",
            "method": method,
            "students": ", ".join(
                str(seed[method]["students"]) for seed in stored["seeds"].values()
            ),
            "volume": _volume(found["volume"], found["sd"]),
            "volume by bytes": _volume(found.get("volume by bytes"), found.get("sd by bytes")),
            "latency of 98%": _latency(found["latency of 98%"]),
            "of the best student's": _latency(found.get("latency of 98% of best")),
            "its share on test": ", ".join(
                "–"
                if seed[method]["its test share"] is None
                else f"{seed[method]['its test share']:.1%}"
                for seed in stored["seeds"].values()
            ),
            "best share on test": ", ".join(
                f"{seed[method]['best test share']:.1%}" for seed in stored["seeds"].values()
            ),
        }
        for method, found in stored["methods"].items()
    ]
