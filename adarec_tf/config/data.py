"""The settings of the way from a raw log to split histories."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from adarec_tf.config.base import Config, Name, SettingError, Texts

_WITHOUT_COLUMN = "empty without event_column: name the column of the log that says what a row is"
_KNOWS_NOTHING = (
    "with split=global_time and without sessions: what is trained on would depend on what came "
    "after the cut"
)


class DataConfig(Config):
    """From raw interactions to split histories."""

    user_column: Name = "user_id"
    """Column of the log with the users."""
    item_column: Name = "item_id"
    """Column of the log with the items."""
    time_column: Name = "timestamp"
    """Column of the log with the times."""
    event_column: str = ""
    """Column that says what a row is, a view or a purchase; empty: no column does."""
    events: Texts = ()
    """Types of events that stay; empty: all."""
    event_weights: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    """Weights of event types (1 where none is given): of several interactions with an item,
    `repeats` leaves the heaviest; types of weight 0 do not stay."""
    min_user_interactions: Annotated[int, Field(ge=3)] = 3
    """Interactions that a user must have: at least one each to train, select and test."""
    min_item_interactions: PositiveInt = 1
    """Interactions that an item must have."""
    k_core_rounds: NonNegativeInt = 1
    """How often both minimums are applied, items first; 0: until both hold (the k-core)."""
    max_length: NonNegativeInt = 0
    """Items of a history that a model sees; 0: the fewest of 20, 50, 100 and 200 that hold 95% of
    the interactions trained on, or else 200."""
    seen: Literal["auto", "exclude", "keep"] = "auto"
    """Whether items of the history are candidates; `auto` excludes them where at most 1% of the
    training interactions are with an item that the user had met before."""
    split: Literal["leave_one_out", "global_time"] = "leave_one_out"
    """Targets are each user's last items, or all items after one cut in time."""
    test_time_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the interactions in the test period of `global_time`, the last in time, and as many
    before them in the validation period; the rest is for training."""
    session_gap_seconds: NonNegativeFloat = 0.0
    """Seconds without an interaction after which a new session begins, a history of its own;
    0: histories are not cut."""
    time_unit: Literal["seconds", "milliseconds", "microseconds"] = "seconds"
    """Unit of times that are numbers; Parquet dates and times have their own."""
    repeats: Literal["keep", "drop_consecutive", "keep_first", "keep_last"] = "keep"
    """Which of a history's interactions with one item stay: all, one of each run with no other
    item between, the first, the last."""
    windows: Literal["auto", "last", "all"] = "auto"
    """Windows of a history longer than `max_length` for training: its last items, or all of them in
    windows that are cut elsewhere in every epoch; `auto` takes the last where they hold 95% of the
    interactions trained on."""

    UNITS_PER_SECOND: ClassVar[dict[str, int]] = {
        "seconds": 1,
        "milliseconds": 1000,
        "microseconds": 1_000_000,
    }

    @property
    def has_sessions(self) -> bool:
        """Whether histories are sessions."""
        return self.session_gap_seconds > 0

    @property
    def _knows_what_comes(self) -> bool:
        """Whether a history may depend on what comes after its split."""
        return self.split != "global_time" or self.has_sessions

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        columns = (self.user_column, self.item_column, self.time_column)
        if len(set(columns)) < 3:
            raise SettingError("columns", "three different names", columns)
        is_other = self.event_column not in columns
        self.require(is_other, "event_column", f"another than {', '.join(columns)}")
        return self

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        self.require(
            self.repeats != "keep_last" or self._knows_what_comes,
            "repeats",
            f"another {_KNOWS_NOTHING}",
        )
        return self

    @model_validator(mode="after")
    def _check_events(self) -> Self:
        events, has_column = self.events, bool(self.event_column)
        self.require(has_column or not events, "events", _WITHOUT_COLUMN)
        self.require(len(set(events)) == len(events), "events", "different event types")
        if not self.event_weights:
            return self
        for is_met, requirement in (
            (has_column, _WITHOUT_COLUMN),
            (
                not events or set(self.event_weights) <= set(events),
                f"of types that stay (events={', '.join(events)})",
            ),
            (
                self.repeats != "keep",
                "empty with repeats=keep: they say which of several interactions with an item "
                "stays",
            ),
            (self._knows_what_comes, f"empty {_KNOWS_NOTHING}"),
        ):
            self.require(is_met, "event_weights", requirement)
        return self
