"""Rows of the docs' tables about speed: training, preprocessing and serving.

Each function makes the rows of one stored result from its name and its content; a row is a dict
from column to cell. `tables.py` puts them into the documents.
"""

import statistics
from typing import Any

Row = dict[str, str]


def training_throughput(_: str, stored: dict[str, Any]) -> list[Row]:
    """How fast implementations of SASRec train."""
    return [
        {
            "implementation": name,
            "positions/s": f"{row['median']:,}",
            "items": f"{row['items']:,}",
            "versions": ", ".join(f"{key} {value}" for key, value in row["versions"].items()),
        }
        for name, row in stored["positions_per_s"].items()
    ]


def large_catalog(_: str, stored: dict[str, Any]) -> list[Row]:
    """What a training costs with many items beside one with few."""

    def row_of(stage: str, num_items: str, rounds: list[dict[str, Any]], beside: str) -> Row:
        median = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        return {
            "training": stage,
            "items": f"{int(num_items):,}",
            "positions/s": f"{median['positions_per_s']:,.0f}",
            "beside the small catalog": beside,
            "all epochs, s": f"{median['seconds']:.0f}",
            "memory, GB": f"{median['before_training_gb']:.2f} → {median['peak_gb']:.2f}",
        }

    rows = []
    for stage, measured in stored["stages"].items():
        (few, few_rounds), (many, many_rounds) = measured["catalogs"].items()
        rows.append(row_of(stage, few, few_rounds, ""))
        rows.append(row_of(stage, many, many_rounds, f"{measured['large / small']:.2f}"))
    return rows


def large_log(_: str, stored: dict[str, Any]) -> list[Row]:
    """What a training takes of a large log before and after its first steps."""
    num_positions = stored["interactions"] * (1 - 3 / stored["items_per_history"])
    hours = num_positions / stored["positions_per_s"] / 3600
    return [
        {
            "interactions": f"{stored['interactions']:,}",
            "read, s": f"{stored['read_s']:.0f}",
            "first steps after, s": f"{stored['first_steps_s']:.0f}",
            "most memory: read, trained, GB": f"{stored['read_peak_gb']:.1f}, "
            f"{stored['peak_gb']:.1f}",
            "mapped from files at the end, GB": f"{stored['of_files_gb']:.1f}",
            "positions/s": f"{stored['positions_per_s']:,}",
            "an epoch would take, h": f"{hours:.1f}",
        }
    ]


def evaluation_speed(_: str, stored: dict[str, Any]) -> list[Row]:
    """How long ranking the whole catalog takes beside the forward pass alone."""
    return [
        {
            "scene, teacher": name,
            "users": f"{row['users']:,}",
            "items": f"{row['items']:,}",
            "forward pass, s": f"{row['forward_s']['median']:.1f}",
            "evaluation, s": f"{row['evaluation_s']['median']:.1f}",
            "ratio": f"{row['ratio']['median']:.2f}",
            "three baselines, s": f"{row['baselines_s']:.1f}",
        }
        for name, row in stored.items()
    ]


def preprocessing(_: str, stored: dict[str, Any]) -> list[Row]:
    """From a raw log to split histories, beside polars by hand."""
    rows = []
    for name, row in stored.items():
        num_rows, log_format = name.split(" ")
        ours, polars = row["ours"], row.get("polars")
        rows.append(
            {
                "rows, log": f"{float(num_rows) / 1e6:,.0f} million, {log_format}",
                "seconds": f"{ours['wall_s']:.1f}",
                "of them imports": f"{ours['imports_s']:.1f}",
                "largest memory": f"{ours['peak_rss_gb']:.2f} GB",
                "polars, seconds": f"{polars['wall_s']:.1f}" if polars else "",
                "polars, largest memory": f"{polars['peak_rss_gb']:.2f} GB" if polars else "",
            }
        )
    return rows


def table_speed(_: str, stored: dict[str, Any]) -> list[Row]:
    """A table in memory to split histories, by the library it is of."""
    return [
        {
            "table of": name,
            "rows": f"{stored['rows']:,}",
            "users kept": f"{stored['num_users']:,}",
            "seconds, median": f"{stored[name]['wall_s']['median']:.2f}",
            "most": f"{stored[name]['wall_s']['max']:.2f}",
            "equal splits": "yes" if stored["same_splits"] else "no",
        }
        for name in ("pandas", "polars", "pyarrow")
    ]


def beam_runners(_: str, stored: dict[str, Any]) -> list[Row]:
    """A scene preprocessed by several runners."""
    return [
        {
            "scene": scene,
            "interactions": f"{row['num_interactions']:,}",
            **{f"{name}, s": f"{runner['wall_s']:.1f}" for name, runner in row["runners"].items()},
            "same bytes": "yes" if all(r["same_bytes"] for r in row["runners"].values()) else "no",
        }
        for scene, row in stored.items()
    ]


def killed_worker(_: str, stored: dict[str, Any]) -> list[Row]:
    """A TaskManager killed in the middle of a step."""
    return [
        {
            "moment": name,
            "interactions": f"{row['num_interactions']:,}",
            "job": row["state_in_the_end"].lower(),
            "failures that Flink tells of": f"{len(row['failures_as_flink_tells'])}",
            "bytes as by the embedded runner": (
                "yes" if row["same_bytes_as_the_embedded_runner"] else "no"
            ),
        }
        for name, row in stored.items()
    ]


def giant_user(_: str, stored: dict[str, Any]) -> list[Row]:
    """One user with most of a log, beside many users."""
    return [
        {
            "log": log.replace("_", " "),
            "rows": f"{stored['num_rows']:,}",
            "users kept": f"{row['num_users']:,}",
            "longest history": f"{row['longest_history']:,}",
            "seconds": f"{row['wall_s']:.1f}",
            "largest memory": f"{row['peak_rss_gb']:.2f} GB",
        }
        for log, row in stored.items()
        if log in ("giant", "many_users")
    ]


def serving_latency(_: str, stored: dict[str, Any]) -> list[Row]:
    """Milliseconds of a request, at the median, in process and served."""
    rows = []
    for name, row in stored["milliseconds"].items():
        model, num_items = name.rsplit("_", 1)
        dagger = " †" if "needs_commit" in row else ""  # made with a setting that is gone
        columns = {
            "in process": "in_process",
            "in turns with the others": "in_turns",
            "of it, encoder": "encoder",
            "encoder, `tf.saved_model.load`": "eager_encoder",
            "embedded server": "served",
        }
        rows.append(
            {
                "model": f"`{model}`{dagger}",
                "items": f"{int(num_items):,}",
                **{column: f"{row[part]['p50']:.2f}" for column, part in columns.items()},
            }
        )
    return rows


def table_latency(_: str, stored: dict[str, Any]) -> list[Row]:
    """Students whose item tables differ in their format alone, and their teacher."""
    rows = []
    for name, row in stored["models"].items():
        model, num_items = name.rsplit("_", 1)
        rows.append(
            {
                "items": f"{int(num_items):,}",
                "model": f"`{model}`",
                "bundle": f"{row['bundle_bytes'] / 1e3:,.0f} kB",
                "one model in a row, ms": f"{row['in_a_row_ms']:.2f}",
                "in turns with the others, ms": f"{row['in_turns_ms']:.2f}",
            }
        )
    return rows


def serving_load(_: str, stored: dict[str, Any]) -> list[Row]:
    """The embedded server under more and more clients."""
    rows = []
    for one_by_one, batched in zip(*stored["curves"].values(), strict=True):
        row = {"clients": f"{one_by_one['clients']}"}
        for name, point in zip(stored["curves"], (one_by_one, batched), strict=True):
            times = " / ".join(f"{point[key]:.1f}" for key in ("p50_ms", "p99_ms", "p999_ms"))
            row[f"{name}, requests/s"] = f"{point['requests_per_s']:,.0f}"
            row[f"{name}, ms"] = times
        row["errors"] = f"{one_by_one['errors'] + batched['errors']}"
        rows.append(row)
    return rows


def hot_swaps(_: str, stored: dict[str, Any]) -> list[Row]:
    """The embedded server while versions change, while it stops, and over many requests."""
    swaps, sigterm, memory = (stored[part] for part in ("swaps", "sigterm", "memory"))
    samples = memory["samples"]
    return [
        {
            "what": f"{swaps['swaps']} versions published under {swaps['clients']} clients",
            "requests answered": f"{swaps['codes']['OK']:,}",
            "lost": f"{sum(swaps['codes'].values()) - swaps['codes']['OK']}",
            "besides": f"slowest {swaps['longest_answer_ms']:.0f} ms; "
            f"{swaps['clients_that_saw_a_version_go_back']} clients saw a version go back",
        },
        {
            "what": f"SIGTERM under {sigterm['clients']} clients",
            "requests answered": f"{sigterm['answered_by_the_server']:,}",
            "lost": f"{sigterm['lost_answers']}",
            "besides": f"exit code {sigterm['exit_code']}",
        },
        {
            "what": "memory over many requests",
            "requests answered": f"{samples[-1]['requests']:,}",
            "lost": "",
            "besides": f"{memory['growth_after_the_first_tenth_mib']:.1f} MiB more than after "
            "the first tenth",
        },
    ]


def mutants(_: str, stored: dict[str, Any]) -> list[Row]:
    """Breaks of the code that tests notice, by package; the total is last."""
    packages = sorted(stored["counts"], key=lambda name: (name == "total", name))
    rows = ((package, stored["counts"][package]) for package in packages)
    return [
        {
            "package": f"`{package}`" if package != "total" else package,
            "breaks": f"{counts['tried']}",
            "that break nothing": f"{counts['equivalent']}",
            "noticed at first": f"{counts['killed_first']}",
            "noticed": f"{counts['killed']}",
            "share": f"{counts['killed'] / (counts['tried'] - counts['equivalent']):.1%}",
        }
        for package, counts in rows
    ]


def watch(name: str, stored: dict[str, Any]) -> list[Row]:
    """When the watch calls for a retraining, and what three ways to retrain give."""
    policies = stored["policies"]
    return [
        {
            "log": name.removeprefix("watch_"),
            "checks": f"{stored['checks']}",
            "retraining paid": f"{stored['paid']}",
            "called": f"{stored['called']}",
            "precision": f"{stored['precision']:.2f}",
            "recall": f"{stored['recall']:.2f}",
            **{
                f"{way}: NDCG@10, trainings": f"{of_way['ndcg@10']:.4f}, {of_way['trainings']}"
                for way, of_way in policies.items()
            },
        }
    ]
