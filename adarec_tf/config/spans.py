"""Which daily folders of a log are read."""

import re
from dataclasses import dataclass
from typing import ClassVar

from adarec_tf.config.base import JsonConfig, check, check_choice, check_non_negative_integer


@dataclass(frozen=True, kw_only=True)
class SpansConfig(JsonConfig):
    """Of a log whose path has `{YYYY}`, `{MM}` and `{DD}`, or `{SPAN}`; other logs read none."""

    last: str = ""  # span that is read up to: a date (2026-11-30) or a number; "" is the newest
    # A rolling window of so many spans, the last one included; 0 reads all there are: a user's
    # history goes back beyond the last day.
    window: int = 0
    # A span without files between the first and the last: an error, or `skip`, and say which.
    missing: str = "refuse"

    MISSING_OPTIONS: ClassVar[tuple[str, ...]] = ("refuse", "skip")

    def __post_init__(self) -> None:
        check(
            isinstance(self.last, str) and bool(re.fullmatch(r"|\d+|\d{4}-\d\d-\d\d", self.last)),
            "last",
            'a date such as 2026-11-30, a span\'s number, or "" for the newest span',
            self.last,
        )
        check_non_negative_integer(self, "window")
        check_choice(self, "missing", self.MISSING_OPTIONS)
