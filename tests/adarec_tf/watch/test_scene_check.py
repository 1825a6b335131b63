"""Whether a scene has changed: logs that stay as they are, and logs that are shaken."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from adarec_tf.config.data import DataConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.dataset import order_log
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.evaluation.uncertainty import Interval, PairedTest
from adarec_tf.export.recommender import ScoredItem
from adarec_tf.watch.scene_check import SceneCheck, check_scene

NUM_USERS, NUM_ITEMS, LENGTH, CUT = 400, 60, 20, 700_000
BLESSED = {"student": Interval(0.55, 0.5, 0.6), "markov": Interval(0.5, 0.45, 0.55)}


class NextNumbers:
    """Recommends the items whose numbers follow that of the last one."""

    seen = "keep"

    def __init__(self, first: int = 1) -> None:
        self.first = first

    def __call__(self, histories: list[list[str]], k: int) -> list[list[ScoredItem]]:
        lasts = [int(history[-1].lstrip("n")) for history in histories]
        return [
            [ScoredItem(str((last + i) % NUM_ITEMS), -i) for i in range(self.first, self.first + k)]
            for last in lasts
        ]


@pytest.fixture
def log() -> dict[str, np.ndarray]:
    """Users who mostly go on to the next number, and begin at any time."""
    generator = np.random.default_rng(0)
    steps = np.where(
        generator.random((NUM_USERS, LENGTH)) < 0.7,
        1,
        generator.integers(1, 40, (NUM_USERS, LENGTH)),
    )
    starts = generator.integers(0, NUM_ITEMS, (NUM_USERS, 1))
    return {
        "user_id": np.repeat(np.arange(NUM_USERS), LENGTH).astype(str),
        "item_id": ((starts + np.cumsum(steps, axis=1)) % NUM_ITEMS)
        .ravel()
        .astype(str)
        .astype("U8"),
        "timestamp": np.sort(generator.integers(0, 1_000_000, (NUM_USERS, LENGTH))).ravel(),
    }


def check(
    log: dict[str, np.ndarray],
    first: int = 1,
    since: float = CUT,
    min_item_interactions: int = 1,
    **limits: Any,
) -> SceneCheck:
    data = DataConfig(min_item_interactions=min_item_interactions)
    return check_scene(
        order_log(pa.table(log), data),
        NextNumbers(first),  # type: ignore[arg-type]
        ItemVocabulary(tuple(map(str, range(NUM_ITEMS)))),
        since=since,
        blessed=BLESSED,
        data=data,
        config=WatchConfig(**{"max_growth": 1.0, **limits}),
    )


def raised(found: SceneCheck) -> set[str]:
    return {signal.name for signal in found.signals if signal.is_raised}


def test_a_scene_that_stays_as_it_is_is_fine(log: dict[str, np.ndarray]) -> None:
    found = check(log)
    assert (found.answer, raised(found), found.reasons) == ("fine", set(), [])
    assert found.num_events == (log["timestamp"] > CUT).sum()
    assert found.until == log["timestamp"].max()
    assert found.student[0].low < found.student[0].mean < found.student[0].high


def test_what_was_before_is_what_a_check_would_have_found_then(log: dict[str, np.ndarray]) -> None:
    found = check(log)
    old = np.sort(log["timestamp"][log["timestamp"] <= CUT])
    start = old[len(old) - min(found.num_events, len(old) // 2)]
    is_old = log["timestamp"] <= CUT
    then = check({name: column[is_old] for name, column in log.items()}, since=start - 1)
    assert found.markov[1] == then.markov[0]
    assert found.statistics[1] == then.statistics[0]


def test_times_may_have_fractions(log: dict[str, np.ndarray]) -> None:
    found = check(log)
    fractions = check({**log, "timestamp": log["timestamp"] / 8}, since=CUT / 8)
    assert fractions._replace(until=found.until) == found


def test_items_too_rare_for_the_vocabulary_were_unknown_before_as_well(
    log: dict[str, np.ndarray],
) -> None:
    assert check(log).statistics[1].unknown_interactions == 0
    assert check(log, min_item_interactions=10**6).statistics[1].unknown_interactions == 1


def test_many_more_events_call_also_where_nothing_has_changed(log: dict[str, np.ndarray]) -> None:
    num_new = int((log["timestamp"] > CUT).sum())
    share = num_new / (len(log["timestamp"]) - num_new)
    assert check(log, max_growth=share).answer == "fine"
    found = check(log, max_growth=share - 0.001)
    assert (found.answer, raised(found)) == ("warm start", {"growth"})
    assert f"{share:+.1%} events, {num_new:,} beside" in found.reasons[0]


def test_half_of_the_catalog_replaced(log: dict[str, np.ndarray]) -> None:
    is_replaced = (log["timestamp"] > CUT) & (log["item_id"].astype(int) < NUM_ITEMS // 2)
    log["item_id"][is_replaced] = np.char.add("n", log["item_id"][is_replaced])
    found = check(log)
    assert found.answer == "warm start"
    assert raised(found) >= {"gain", "popularity", "unknown_interactions"}
    now, earlier = found.statistics
    assert now.unknown_items == 0.5
    assert now.unknown_interactions == is_replaced.sum() / found.num_events
    assert earlier.unknown_interactions == 0


def test_order_that_tells_nothing_any_more(log: dict[str, np.ndarray]) -> None:
    is_new = log["timestamp"] > CUT
    log["item_id"][is_new] = np.random.default_rng(1).permutation(log["item_id"][is_new])
    found = check(log)
    assert found.answer == "warm start"
    assert "order" in raised(found)
    assert raised(found).isdisjoint({"popularity", "unknown_interactions", "interactions_per_user"})


def test_bots(log: dict[str, np.ndarray]) -> None:
    num = 4000
    bots = {
        "user_id": np.array(["bot", "robot"] * (num // 2)),
        "item_id": np.random.default_rng(1).integers(0, 5, num).astype(str),
        "timestamp": np.linspace(CUT + 1, 999_999, num).astype(int),
    }
    found = check({name: np.concatenate([log[name], bots[name]]) for name in log})
    assert found.answer == "warm start"
    assert raised(found) >= {"popularity", "interactions_per_user"}


def test_a_student_that_falls_behind_markov(log: dict[str, np.ndarray]) -> None:
    behind = check(log, first=2)
    assert raised(behind) == {"advantage"}
    [advantage] = [signal for signal in behind.signals if signal.name == "advantage"]
    assert advantage.earlier == 0.55 / 0.5
    assert advantage.value == behind.student[0].mean / behind.markov[0].mean


def test_users_who_go_on_otherwise(log: dict[str, np.ndarray]) -> None:
    # The users go on by three: Markov of the first half of the new events knows it.
    is_new = log["timestamp"] > CUT
    numbers = log["item_id"].astype(int)
    log["item_id"] = np.where(is_new, numbers * 3 % NUM_ITEMS, numbers).astype(str)
    assert raised(check(log)) >= {"gain", "order"}
    before = check(log, max_loss=0.9, min_gain=100.0, max_drift=1e9)
    assert raised(before) == set()


def test_the_gain_is_that_of_the_first_half_on_the_second(log: dict[str, np.ndarray]) -> None:
    is_new = log["timestamp"] > CUT
    log["item_id"][is_new] = np.char.add("n", log["item_id"][is_new])
    found = check(log)
    # Nothing of it was known before.
    assert found.gain.difference > 0.3
    assert found.markov[0].mean == 0
    assert found.student[0].mean == 0


def test_a_trial_that_the_runner_up_wins_is_a_search(log: dict[str, np.ndarray]) -> None:
    found = check(log)
    assert found.with_trial(PairedTest(0.01, -0.001, 0.02, 0.2)).answer == "fine"
    better = found.with_trial(PairedTest(0.01, 0.001, 0.02, 0.01))
    assert better.answer == "search again"
    assert better.reasons == [
        "the genotype's advantage is gone: after the same epochs its runner-up has "
        "+0.0100 NDCG@10 (+0.0010 to +0.0200)"
    ]


def test_an_anomaly_is_a_reason(log: dict[str, np.ndarray]) -> None:
    found = check(log)
    assert found.with_anomalies([]).answer == "fine"
    strange = found.with_anomalies(["`event`: Unexpected string values"])
    assert (strange.answer, strange.reasons) == (
        "warm start",
        ["`event`: Unexpected string values"],
    )


def test_a_log_without_new_events_is_refused(log: dict[str, np.ndarray]) -> None:
    is_old = log["timestamp"] <= CUT
    with pytest.raises(
        ValueError, match=r"should have events after .* 700000, .* Received: 0 after it"
    ):
        check({name: column[is_old] for name, column in log.items()})
