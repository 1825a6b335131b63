"""What a report says, gathered from a run as plain JSON types.

The page is made of this alone, so that it can be made again, with titles or beside another run.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.recipe import Recipe
from adarec_tf.data.histories.histories import Histories, raw_histories, sample_users
from adarec_tf.data.histories.statistics import SequenceStatistics
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.interactions import unix_unit
from adarec_tf.evaluation.baselines import item_popularity
from adarec_tf.export.bundle import read_manifest
from adarec_tf.export.recommender import Recommender

FORMAT_VERSION = 1
NUM_EXAMPLES = 20
K = 10
_LENGTH_EDGES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000)
_NUM_RANKS = 60

Facts = dict[str, Any]


class FinishedRun(NamedTuple):
    """What a run gave, as its stages left it.

    Attributes:
      config: the run's settings, without what was decided for the scene.
      recipe: that.
      statistics: of the histories.
      vocabulary: their items.
      train: the train split.
      test: the test split.
      times: earliest and latest time of the log, in its own unit; None if not known.
      metrics: the content of `metrics.json`.
      genotype: the content of `genotype.json`.
      trace: the records of `search_trace.jsonl`; empty for a genotype that was given.
      front: the content of `front.json`; None without one.
      teacher_bundle: the teacher's bundle directory.
      student_bundle: the student's bundle directory.
      student_history: the records of its training.
      blessed: whether the student may be served.
      reasons: a sentence for each thing asked of it.
      pushed_version: its number; None if it was not pushed.
      origin: `log`, its path, and `continued_from`, the earlier run that this one continued; "" if
        none.
    """

    config: PipelineConfig
    recipe: Recipe
    statistics: SequenceStatistics
    vocabulary: ItemVocabulary
    train: Histories
    test: Histories
    times: tuple[float, float] | None
    metrics: Mapping[str, Any]
    genotype: Mapping[str, Any]
    trace: Sequence[Mapping[str, Any]]
    front: Mapping[str, Any] | None
    teacher_bundle: str
    student_bundle: str
    student_history: Sequence[Mapping[str, float]]
    blessed: bool
    reasons: Sequence[str]
    pushed_version: int | None
    origin: Mapping[str, str]


def gather_facts(run: FinishedRun) -> Facts:
    """All that the report of a run says, as plain JSON types."""
    manifest = read_manifest(run.student_bundle)
    counts = item_popularity(run.train, run.statistics.num_items)
    return {
        "format_version": FORMAT_VERSION,
        "scene": run.config.scene,
        "seed": run.config.seed,
        "metrics": run.metrics,
        "blessed": run.blessed,
        "reasons": list(run.reasons),
        "pushed_version": run.pushed_version,
        "protocol": {
            "split": run.config.data.split.replace("_", "-"),
            "num_test_users": run.metrics["num_users"],
        },
        "statistics": vars(run.statistics),
        "time_span": _unix_seconds(run.times),
        "lengths": _lengths(run.train.lengths),
        "popularity": _popularity(counts),
        "recipe": run.recipe.to_dict(),
        "settings": run.config.with_recipe(run.recipe).to_dict(),
        "genotype": run.genotype,
        "trace": list(run.trace),
        "front": run.front,
        "student_history": list(run.student_history),
        "examples": _examples(run),
        "versions": manifest["library_versions"],
        "origin": dict(run.origin),
    }


def _unix_seconds(times: tuple[float, float] | None) -> list[float] | None:
    """Times in seconds since 1970; None where they are no dates.

    Milliseconds and microseconds are told by their size, since a log need not say its unit.
    """
    unit = unix_unit(times[1]) if times else None
    return [time / unit for time in times] if times and unit else None


def _lengths(lengths: np.ndarray) -> list[tuple[str, int]]:
    """How many histories have a length of each range, from the first to the last that has any."""
    ends = [*_LENGTH_EDGES[1:], max(int(lengths.max(initial=0)), _LENGTH_EDGES[-1]) + 1]
    counts, _ = np.histogram(lengths, [_LENGTH_EDGES[0], *ends])
    names = [
        f"{low}–{high - 1}" if high - low > 1 else f"{low}"
        for low, high in pairwise([_LENGTH_EDGES[0], *ends])
    ]
    names[-1] = f"{_LENGTH_EDGES[-1]}+"
    held = np.flatnonzero(counts)
    shown = range(held[0], held[-1] + 1) if len(held) else range(1)
    return [(names[place], int(counts[place])) for place in shown]


def _popularity(counts: np.ndarray) -> list[tuple[int, int]]:
    """Ranks, in equal steps of their logarithm, and how often the item there was met."""
    ordered = np.sort(counts)[::-1]
    ranks = np.unique(np.geomspace(1, len(ordered), _NUM_RANKS).round().astype(int))
    return [(int(rank), int(ordered[rank - 1])) for rank in ranks]


def _examples(run: FinishedRun) -> list[dict[str, Any]]:
    """Histories drawn from the test split, those first on which the two models differ most."""
    drawn = sample_users(run.test, NUM_EXAMPLES, run.config.seed)
    histories = raw_histories(drawn, run.vocabulary, NUM_EXAMPLES)
    lists = {
        name: Recommender.load(bundle)(histories, K)
        for name, bundle in (("teacher", run.teacher_bundle), ("student", run.student_bundle))
    }
    examples = []
    for user, history in enumerate(histories):
        [target] = run.vocabulary.decode(drawn.targets[user : user + 1])
        of_user = {name: [item.item_id for item in given[user]] for name, given in lists.items()}
        num_shared = len(set(of_user["teacher"]) & set(of_user["student"]))
        examples.append({"history": history, "target": target, **of_user, "shared": num_shared})
    return sorted(examples, key=lambda example: example["shared"])
