"""The settings of the way from a raw log to split histories."""

from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import (
    JsonConfig,
    check,
    check_choice,
    check_fraction,
    check_non_negative_number,
    check_positive_integer,
    check_positive_number,
    is_non_negative_number,
)


@dataclass(frozen=True, kw_only=True)
class DataConfig(JsonConfig):
    """From raw interactions to split histories."""

    user_column: str = "user_id"
    item_column: str = "item_id"
    time_column: str = "timestamp"
    event_column: str = ""  # says what a row is, a view or a purchase; empty: no column does
    events: tuple[str, ...] = ()  # the types of events that stay; empty: all
    # Type and weight: where `repeats` leaves one of several interactions with an item, it is the
    # heaviest. Types without a weight weigh 1; those of weight 0 do not stay.
    event_weights: tuple[tuple[str, float], ...] = ()
    min_user_interactions: int = 3  # leave-one-out needs one each to train, select and test
    min_item_interactions: int = 1
    # How often both filters run, items first. One pass of the users can leave items below their
    # minimum; 0 goes on until both minimums hold (the k-core).
    k_core_rounds: int = 1
    max_length: int = 50  # items of a history a model sees
    seen: str = "auto"  # are items of the history candidates? `exclude`, `keep`, or by the log
    max_repeat_share: float = 0.01  # `auto` excludes seen items up to this share of repeats
    # `leave_one_out`: the last items of each user are the targets. `global_time`: one cut in time
    # for all users, so that nothing is trained on that was not known when a target was taken.
    split: str = "leave_one_out"
    # The last interactions in time, up to this share, are the test period, and as many before them
    # the validation period. Only `global_time` reads it.
    test_time_share: float = 0.1
    # A user's interactions become sessions, each a history of its own, wherever the gap to the one
    # before is longer; 0 cuts none.
    session_gap_seconds: float = 0.0
    time_unit: str = "seconds"  # of numbers in the log; Parquet dates and times are microseconds
    # Which of a history's interactions with one item stay: all, one of each run with no other item
    # between, the first, the last.
    repeats: str = "keep"

    SEEN_OPTIONS: ClassVar[tuple[str, ...]] = ("auto", "exclude", "keep")
    SPLIT_OPTIONS: ClassVar[tuple[str, ...]] = ("leave_one_out", "global_time")
    REPEATS_OPTIONS: ClassVar[tuple[str, ...]] = (
        "keep",
        "drop_consecutive",
        "keep_first",
        "keep_last",
    )
    UNITS_PER_SECOND: ClassVar[dict[str, int]] = {
        "seconds": 1,
        "milliseconds": 1000,
        "microseconds": 1_000_000,
    }

    def __post_init__(self) -> None:
        check_positive_integer(self, "min_item_interactions", "max_length")
        check(
            type(self.k_core_rounds) is int and self.k_core_rounds >= 0,
            "k_core_rounds",
            "a number of rounds, or 0 to go on until nothing more is removed",
            self.k_core_rounds,
        )
        check(
            type(self.min_user_interactions) is int and self.min_user_interactions >= 3,
            "min_user_interactions",
            "an integer of at least 3 (one item each to train, select and test)",
            self.min_user_interactions,
        )
        check_choice(self, "seen", self.SEEN_OPTIONS)
        check_fraction(self, "max_repeat_share")
        check_choice(self, "split", self.SPLIT_OPTIONS)
        check_positive_number(self, "test_time_share")
        check(
            self.test_time_share < 0.5,
            "test_time_share",
            "less than 0.5: the validation period is as long, and the rest is for training",
            self.test_time_share,
        )
        check_non_negative_number(self, "session_gap_seconds")
        check_choice(self, "time_unit", tuple(self.UNITS_PER_SECOND))
        check_choice(self, "repeats", self.REPEATS_OPTIONS)
        check(
            self.repeats != "keep_last" or self.split != "global_time" or self.has_sessions,
            "repeats",
            "another with split=global_time and without sessions: what is trained on would depend "
            "on what came after the cut",
            self.repeats,
        )
        columns = (self.user_column, self.item_column, self.time_column)
        check(all(columns) and len(set(columns)) == 3, "columns", "three different names", columns)
        check(
            self.event_column not in columns,
            "event_column",
            f"another than {', '.join(columns)}",
            self.event_column,
        )
        self._check_events()

    def _check_events(self) -> None:
        is_text = all(isinstance(event, str) for event in self.events)
        check(
            is_text and len(set(self.events)) == len(self.events),
            "events",
            'different event types as text, such as ["view", "purchase"]',
            self.events,
        )
        check(
            bool(self.event_column) or not self.events,
            "events",
            "empty without event_column: name the column of the log that says what a row is",
            self.events,
        )
        check(
            bool(self.event_column) or not self.event_weights,
            "event_weights",
            "empty without event_column: name the column of the log that says what a row is",
            self.event_weights,
        )
        if self.event_weights:
            self._check_event_weights()

    def _check_event_weights(self) -> None:
        pairs = [pair for pair in self.event_weights if isinstance(pair, tuple) and len(pair) == 2]
        names = [name for name, _ in pairs]
        check(
            len(pairs) == len(self.event_weights)
            and all(
                isinstance(name, str) and is_non_negative_number(weight) for name, weight in pairs
            )
            and len(set(names)) == len(names),
            "event_weights",
            'a finite weight of at least 0 for each event type, such as {"view": 1, "purchase": 3}',
            self.event_weights,
        )
        check(
            not self.events or set(names) <= set(self.events),
            "event_weights",
            f"of types that stay (events={', '.join(self.events)})",
            self.event_weights,
        )
        check(
            self.repeats != "keep",
            "event_weights",
            "empty with repeats=keep: they say which of several interactions with an item stays",
            self.event_weights,
        )
        check(
            self.split != "global_time" or self.has_sessions,
            "event_weights",
            "empty with split=global_time and without sessions: what is trained on would depend on "
            "what came after the cut",
            self.event_weights,
        )

    @property
    def has_sessions(self) -> bool:
        """Whether histories are sessions."""
        return self.session_gap_seconds > 0
