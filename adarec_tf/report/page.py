"""The pages: one run, and two runs side by side, each in a single file that asks for nothing.

What they say is in `facts`, how it is laid out in the templates beside this file.
"""

import csv
import io
import json
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import rich.filesize
from markupsafe import Markup, escape

from adarec_tf.models.students.genotype import Edge, Genotype
from adarec_tf.models.students.primitives import NONE
from adarec_tf.report.facts import FORMAT_VERSION, Facts
from adarec_tf.report.front_picture import front_picture
from adarec_tf.report.genotype_picture import Costs, genotype_picture
from adarec_tf.report.models_picture import METRIC, models_picture
from adarec_tf.report.picture import STYLE, Picture, inline_svg
from adarec_tf.report.scene_picture import lengths_picture, popularity_picture
from adarec_tf.report.search_picture import search_pictures
from adarec_tf.report.transport_picture import transport_pictures
from adarec_tf.report.watch_picture import watch_picture
from adarec_tf.training.fit import SELECTION_METRIC

COST_NAMES = {
    "bundle_bytes": "bytes",
    "encoder_macs": "multiply-adds",
    "latency_p50_ms": "time of an answer",
}
_SHOWN_ITEMS = 8  # of a history
_MAX_FINALISTS = 5


@matplotlib.rc_context(dict(STYLE))
def run_page(
    facts: Facts, titles: Mapping[str, str], checks: Sequence[Mapping[str, Any]] = ()
) -> str:
    """The page of a run.

    Args:
      facts: from `gather_facts`.
      titles: of items, by their keys; an item without one is shown by its key.
      checks: what `adarec watch` found, oldest first: records of `watch.jsonl`.
    """
    genotype = Genotype.from_dict(facts["genotype"])
    costs = facts["trace"][-1]["costs"] if facts["trace"] else {}
    history = facts["student_history"]
    pictures = {
        "models": [models_picture(facts["metrics"])],
        "scene": [
            lengths_picture(facts["lengths"]),
            popularity_picture(facts["popularity"], facts["recipe"]["scene"]["top_share"]),
        ],
        "student": [genotype_picture(genotype, costs)],
        "search": search_pictures(facts["trace"]) if facts["trace"] else [],
        "front": [front_picture(facts["front"])] if facts["front"] else [],
        "watch": [watch_picture(checks)] if checks else [],
        "layers": transport_pictures(history) if history and "plan[1,1]" in history[0] else [],
    }
    return _render(
        "run.html",
        facts=facts,
        verdict=verdict(facts),
        shares=cost_shares(facts["metrics"]["models"]),
        edges=list(_edges(genotype, costs)),
        finalists=_finalists(facts["trace"]),
        settings=flat_settings(facts["settings"]),
        examples=[_example(example, titles) for example in facts["examples"]],
        commands=_commands(facts),
        checks=checks,
        pictures=pictures,
    )


@matplotlib.rc_context(dict(STYLE))
def comparison_page(runs: Mapping[str, Facts]) -> str:
    """The page of two runs.

    Args:
      runs: by name, the one that the other is compared with last.
    """
    first, second = runs.values()
    one, other = (flat_settings(facts["settings"]) for facts in (first, second))
    pictures = {
        name: [genotype_picture(Genotype.from_dict(facts["genotype"]), {})]
        for name, facts in runs.items()
    }
    return _render(
        "two_runs.html",
        runs=runs,
        verdicts={name: verdict(facts) for name, facts in runs.items()},
        same_data=first["statistics"]["data_fingerprint"]
        == second["statistics"]["data_fingerprint"],
        accuracies=list(_accuracies(first, second)),
        changed={
            name: (one.get(name), other.get(name))
            for name in sorted(one.keys() | other.keys())
            if one.get(name) != other.get(name)
        },
        pictures=pictures,
    )


def read_facts(path: str | os.PathLike[str]) -> Facts:
    """Reads the `report.json` of a run.

    Raises:
      ValueError: there is none, or one of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"A run's folder should hold {path.name}. Received: none in {path.parent}; finish the "
            "run with `adarec run`."
        )
    facts = json.loads(path.read_text("utf-8"))
    if facts.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{path} should have format_version {FORMAT_VERSION}. "
            f"Received: {facts.get('format_version')}; run `adarec run` again."
        )
    return facts


def read_checks(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a `watch.jsonl`, oldest first; none where there is no such file."""
    path = Path(path)
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def verdict(facts: Facts) -> str:
    """Whether the student was blessed, what it keeps and at which share of the cost."""
    models = facts["metrics"]["models"]
    shares = ", ".join(
        f"{f'{share:.0%}' if share else 'none'} of the {COST_NAMES[name]}"
        for name, share in cost_shares(models).items()
        if name in COST_NAMES
    )
    teacher, student = (models[name][METRIC] for name in ("teacher", "student"))
    kept = f"{int(1000 * student / teacher) / 10:.1f}%" if teacher else "nothing"
    blessed = "Blessed" if facts["blessed"] else "Not blessed"
    return f"{blessed}: the student keeps {kept} of its teacher's NDCG@10 for {shares}."


def cost_shares(models: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What the student costs, as shares of its teacher."""
    teacher, student = models["teacher"], models["student"]
    return {name: student[name] / teacher[name] for name in COST_NAMES if teacher[name]}


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their names, as `--set` has them.

    Args:
      settings: of a run, or of a stage.
      prefix: before the names of a stage's.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = flat_settings(value, f"{prefix}{name}.") if isinstance(value, dict) else {}
        flat |= nested or {f"{prefix}{name}": value}
    return flat


def _accuracies(first: Facts, second: Facts) -> Iterator[dict[str, Any]]:
    """NDCG@10 of the models of both, and whether they differ more than users do by chance."""
    for model in first["metrics"]["models"]:
        if model not in second["metrics"]["models"]:
            continue
        ours, others = (f["metrics"]["intervals"][model][METRIC] for f in (first, second))
        difference = ours["mean"] - others["mean"]
        widths = ((of_one["high"] - of_one["low"]) / 2 for of_one in (ours, others))
        error = math.hypot(*widths)
        yield {
            "model": model,
            "intervals": (ours, others),
            "difference": difference,
            "error": error,
            "is_clear": abs(difference) > error,
        }


def _edges(genotype: Genotype, costs: Costs) -> Iterator[dict[str, Any]]:
    """Every edge of a cell that does something, cells that are alike once."""
    cells: dict[tuple[Edge, ...], list[int]] = {}
    for number, cell in enumerate(genotype.without_dead_edges().cells, start=1):
        cells.setdefault(cell, []).append(number)
    for cell, numbers in cells.items():
        for edge in cell:
            if edge.primitive != NONE:
                yield {
                    "cells": ", ".join(map(str, numbers)),
                    "source": f"node {edge.source}" if edge.source else "input",
                    "target": f"node {edge.target}",
                    "operation": edge.primitive,
                    "cost": costs.get(edge.primitive),
                }


def _finalists(trace: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The best of the students that were compared at the end of the search."""
    finalists = trace[-1].get("selection", {}).get("finalists", []) if trace else []
    best = sorted(finalists, key=lambda one: -one[SELECTION_METRIC])[:_MAX_FINALISTS]
    return [
        {
            "lines": Genotype.from_dict(one["genotype"]).describe().splitlines(),
            "metric": one[SELECTION_METRIC],
        }
        for one in best
    ]


def _example(example: Mapping[str, Any], titles: Mapping[str, str]) -> dict[str, Any]:
    """A history for the page: titles for keys, and where in the lists the next item is."""
    history, target = example["history"], example["target"]
    lists = {name: example[name] for name in ("teacher", "student")}
    return {
        "history": [titles.get(key, key) for key in history[-_SHOWN_ITEMS:]],
        "num_before": max(0, len(history) - _SHOWN_ITEMS),
        "target": titles.get(target, target),
        "shared": example["shared"],
        "ranks": {
            name: items.index(target) + 1 if target in items else None
            for name, items in lists.items()
        },
        "lists": {
            name: [
                {
                    "title": titles.get(key, key),
                    "is_next": key == target,
                    "is_shared": all(key in items for items in lists.values()),
                }
                for key in of_one
            ]
            for name, of_one in lists.items()
        },
    }


def _commands(facts: Facts) -> dict[str, str]:
    """What to do next, for a shell in the folder of the page."""
    history = io.StringIO()  # as `adarec recommend` reads it
    csv.writer(history, lineterminator="").writerow(facts["examples"][0]["history"][-3:])
    log = shlex.quote(facts["origin"]["log"])
    commands = {
        "Serve it": "adarec serve --workdir .",
        "Ask the server": f"adarec recommend --history {shlex.quote(history.getvalue())} --k 10",
        "Run it again": f"adarec run --data {log} --recipe recipe.json --set seed={facts['seed']} "
        "--workdir again",
        "Compare with another run": "adarec report --workdir . --against OTHER",
        "Give the items their titles": "adarec report --workdir . --item-titles TITLES.csv",
    }
    if facts["pushed_version"] is None:
        del commands["Serve it"], commands["Ask the server"]
    return commands


def _render(template: str, **content: Any) -> str:
    names = iter(range(1000))

    def drawn(picture: Picture) -> Markup:
        return Markup(inline_svg(picture, f"picture{next(names)}"))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "svg": drawn,
        "count": "{:,}".format,
        "metric": lambda value: "–" if value is None else f"{value:.4f}",
        "signed": "{:+.4f}".format,
        "percent": "{:.1%}".format,
        "bytes": lambda size: rich.filesize.decimal(int(size)),
        "day": lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}",
        "json": lambda value: json.dumps(value),
        "breakable": lambda name: Markup(re.sub(r"([._])", r"\1<wbr>", str(escape(name)))),
        "words": lambda name: name.replace("_", " "),
    }
    return environment.get_template(template).render(**content)
