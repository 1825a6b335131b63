"""Has the scene changed, and what should be done? Signals, each with a limit, and an answer.

What a retraining would gain is not known before it is done. A model that is counted in seconds
tells it ahead: Markov, counted without and with the first half of the new events, predicts the
second half. What its figures were is measured in the same way: on as many events before the new
ones, by what came before those.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.config.data import DataConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.dataset import OrderedLog
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.interactions import unix_unit
from adarec_tf.evaluation.uncertainty import Interval, PairedTest, bootstrap_interval, paired_test
from adarec_tf.export.recommender import Recommender
from adarec_tf.watch.drift import EventStatistics, event_statistics
from adarec_tf.watch.next_items import markov_gains, recommender_gains
from adarec_tf.watch.scene_events import SceneEvents

FORMAT_VERSION = 1
FINE, WARM_START, SEARCH_AGAIN = "fine", "warm start", "search again"
_GENOTYPE = "genotype"
EXIT_CODES = {FINE: 0, WARM_START: 10, SEARCH_AGAIN: 20}
# Below these a statistic is small, however many times its earlier value it is.
_SMALL = {"popularity": 0.01, "unknown_interactions": 0.01, "repeats": 0.05, "hours": 0.01}
# What differs less from the past than it did is no news.
_DIVERGENCES = ("popularity", "unknown_interactions", "hours")
_LEAST = 1e-6
_WORDS = {
    "popularity": "which items are popular has changed",
    "unknown_interactions": "the vocabulary has aged: events are with items that it has not",
    "interactions_per_user": "users do more or less than they did",
    "repeats": "items are met again more or less often",
    "hours": "the hours of the day have changed",
}


class NoNewEventsError(ValueError):
    """A log has too few events after those that a student was trained on."""


class Signal(NamedTuple):
    """Something that is looked at.

    Attributes:
      name: what.
      value: of the new events.
      earlier: what it was; None where that says nothing.
      is_raised: whether it is beyond its limit.
      reason: what that means, in a sentence.
    """

    name: str
    value: float
    earlier: float | None
    is_raised: bool
    reason: str


class SceneCheck(NamedTuple):
    """What was found.

    Attributes:
      num_events: new events.
      until: the time of the last one, in the log's unit.
      student: its NDCG@10 on new events, and when it was blessed.
      markov: NDCG@10 of Markov on new events, and on those before them.
      gain: of Markov, by the first half of the new events on the second.
      statistics: of the new events, and of those before them.
      signals: what was looked at.
      trial: NDCG@10 of the genotype's runner-up less that of the genotype, where both were trained.
    """

    num_events: int
    until: float
    student: tuple[Interval, Interval]
    markov: tuple[Interval, Interval]
    gain: PairedTest
    statistics: tuple[EventStatistics, EventStatistics]
    signals: tuple[Signal, ...]
    trial: PairedTest | None = None

    @property
    def answer(self) -> str:
        """`fine`, `warm start` or `search again`."""
        raised = {signal.name for signal in self.signals if signal.is_raised}
        if not raised:
            return FINE
        return SEARCH_AGAIN if _GENOTYPE in raised else WARM_START

    @property
    def reasons(self) -> list[str]:
        """A sentence for each signal that is raised."""
        return [signal.reason for signal in self.signals if signal.is_raised]

    def with_trial(self, trial: PairedTest) -> "SceneCheck":
        """With what two trainings say: search again, where the runner-up is better."""
        reason = (
            "the genotype's advantage is gone: after the same epochs its runner-up has "
            f"{trial.difference:+.4f} NDCG@10 ({trial.low:+.4f} to {trial.high:+.4f})"
        )
        signal = Signal(_GENOTYPE, trial.difference, None, trial.low > 0, reason)
        return self._replace(trial=trial, signals=(*self.signals, signal))

    def with_anomalies(self, anomalies: Sequence[str]) -> "SceneCheck":
        """With what is wrong with the form of the events."""
        signals = [Signal("schema", 1.0, None, True, anomaly) for anomaly in anomalies]
        return self._replace(signals=(*self.signals, *signals))

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain JSON types."""
        return {
            "format_version": FORMAT_VERSION,
            "answer": self.answer,
            "reasons": self.reasons,
            "num_events": self.num_events,
            "until": self.until,
            **{
                name: {"now": now._asdict(), "earlier": earlier._asdict()}
                for name, (now, earlier) in (
                    ("student", self.student),
                    ("markov", self.markov),
                    ("statistics", self.statistics),
                )
            },
            "gain": self.gain._asdict(),
            "signals": [signal._asdict() for signal in self.signals],
            "trial": self.trial._asdict() if self.trial else None,
        }


def check_scene(
    log: OrderedLog,
    recommender: Recommender,
    vocabulary: ItemVocabulary,
    *,
    since: float,
    blessed: Mapping[str, Interval],
    data: DataConfig,
    config: WatchConfig,
    seed: int = 0,
) -> SceneCheck:
    """Compares the events after a time with those before it.

    Args:
      log: all events, those that were trained on among them.
      recommender: the student that is served.
      vocabulary: of its items.
      since: the time of the last event that it was trained on, in the log's unit.
      blessed: NDCG@10 of `student` and `markov` when it was blessed.
      data: how the log was read.
      config: the limits.
      seed: of the events that are drawn, and of the resampling.

    Raises:
      NoNewEventsError: there are too few events after that time.
      ValueError: there are too few before it.
    """
    events = SceneEvents.of_log(log)
    is_new = events.times > since * log.time_scale
    is_old = ~is_new
    # As many of the old events as there are new ones, and what came before those.
    num_last = int(min(is_new.sum(), is_old.sum() // 2))
    is_last = is_old & (events.times >= _start_of_last(events.times[is_old], num_last))
    is_before = is_old & ~is_last
    new, last = (
        events.draw_targets(period, config.num_targets, seed) for period in (is_new, is_last)
    )
    if not len(new) or not len(last) or not is_before.any():
        error = ValueError if len(new) else NoNewEventsError
        raise error(
            "The log should have events after those that the student was trained on, which end at "
            f"{since:g}, of users who had some before, and such events before that time. Received: "
            f"{is_new.sum()} after it, {is_old.sum()} before."
        )
    unit = unix_unit(float(np.abs(events.times).max()) / log.time_scale)
    unit = None if unit is None else unit * log.time_scale
    counts = np.bincount(events.items[is_before] - 1, minlength=events.num_items)
    statistics = (
        event_statistics(events, is_old, is_new, vocabulary.encode(log.item_keys) > 0, unit),
        # A vocabulary of that time would have had these.
        event_statistics(events, is_before, is_last, counts >= data.min_item_interactions, unit),
    )
    student, markov, earlier = (
        bootstrap_interval(gains, seed=seed)
        for gains in (
            recommender_gains(events, recommender, new),
            markov_gains(events, is_old, new, recommender.seen),
            markov_gains(events, is_before, last, recommender.seen),
        )
    )
    gain, stale = _gain_of_new_events(events, is_new, config, recommender.seen, seed)
    signals = (
        _gain_signal(gain, stale, config),
        _growth_signal(int(is_new.sum()), int(is_old.sum()), config),
        _order_signal(markov, earlier, config),
        _advantage_signal(student, markov, blessed, config),
        *_drift_signals(*statistics, config),
    )
    return SceneCheck(
        num_events=int(is_new.sum()),
        until=float(events.times.max()) / log.time_scale,
        student=(student, blessed["student"]),
        markov=(markov, earlier),
        gain=gain,
        statistics=statistics,
        signals=signals,
    )


def _start_of_last(times: np.ndarray, num: int) -> int:
    """The time from which on there are so many events, or more where several share it."""
    if not 0 < num <= len(times):
        return 0
    return int(np.partition(times, len(times) - num)[len(times) - num])


def _gain_of_new_events(
    events: SceneEvents, is_new: np.ndarray, config: WatchConfig, seen: str, seed: int
) -> tuple[PairedTest, float]:
    """What the first half of the new events adds to Markov on the second, and its NDCG without."""
    middle = np.median(events.times[is_new])
    places = events.draw_targets(is_new & (events.times > middle), config.num_targets, seed)
    if not len(places):  # all at one time
        return PairedTest(0.0, 0.0, 0.0, 1.0), 0.0
    stale, fresh = (
        markov_gains(events, is_counted, places, seen)
        for is_counted in (~is_new, ~is_new | (events.times <= middle))
    )
    return paired_test(fresh, stale, seed=seed), float(stale.mean())


def _gain_signal(gain: PairedTest, stale: float, config: WatchConfig) -> Signal:
    """Are there events to learn from that change what is predicted?"""
    share = gain.difference / stale if stale else float(gain.difference > 0)
    reason = (
        f"models have aged: with the first half of the new events Markov predicts the second "
        f"{share:+.1%} better ({gain.difference:+.4f} NDCG@10, {gain.low:+.4f} to {gain.high:+.4f})"
    )
    return Signal("gain", share, None, gain.low > 0 and share >= config.min_gain, reason)


def _growth_signal(num_new: int, num_old: int, config: WatchConfig) -> Signal:
    """Are there many more events to learn from?"""
    share = num_new / num_old
    reason = f"there is more to learn from: {share:+.1%} events, {num_new:,} beside {num_old:,}"
    return Signal("growth", share, None, share > config.max_growth, reason)


def _order_signal(now: Interval, earlier: Interval, config: WatchConfig) -> Signal:
    """Does an item still tell the next one?"""
    is_raised = now.high < (1 - config.max_loss) * earlier.mean
    reason = (
        f"an item tells less of the next one: Markov's NDCG@10 is {now.mean:.4f} "
        f"({now.low:.4f} to {now.high:.4f}), and was {earlier.mean:.4f} before"
    )
    return Signal("order", now.mean, earlier.mean, is_raised, reason)


def _advantage_signal(
    student: Interval, markov: Interval, blessed: Mapping[str, Interval], config: WatchConfig
) -> Signal:
    """Is the student as far ahead of Markov as it was?"""
    then = blessed["student"].mean / max(blessed["markov"].mean, _LEAST)
    now, highest = (ndcg / max(markov.mean, _LEAST) for ndcg in (student.mean, student.high))
    reason = (
        f"the student has lost its advantage: it has {now:.2f} times the NDCG@10 of Markov, and "
        f"had {then:.2f} times when it was blessed"
    )
    return Signal("advantage", now, then, highest < (1 - config.max_loss) * then, reason)


def _drift_signals(
    now: EventStatistics, earlier: EventStatistics, config: WatchConfig
) -> Iterator[Signal]:
    """Are the events what they were?"""
    for name, words in _WORDS.items():
        value, before = getattr(now, name), getattr(earlier, name)
        if value is None or before is None:
            continue
        small = _SMALL.get(name, _LEAST)
        times = max(value, small) / max(before, small)
        is_raised = not 1 / config.max_drift <= times <= config.max_drift
        if name in _DIVERGENCES:
            is_raised &= times > 1
        yield Signal(name, value, before, is_raised, f"{words}: {value:.3g}, and was {before:.3g}")
