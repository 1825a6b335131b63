"""Which daily folders of a log are read."""

import re
from typing import Literal, Self

from pydantic import NonNegativeInt, model_validator

from adarec_tf.config.base import Config


class SpansConfig(Config):
    """Days to read of a log whose path has `{YYYY}`, `{MM}` and `{DD}`, or `{SPAN}`."""

    last: str = ""
    """Last span that is read, a date (2026-11-30) or a number; empty: the newest."""
    window: NonNegativeInt = 0
    """Spans that are read, the last one included; 0: all, since histories go back beyond a day."""
    missing: Literal["refuse", "skip"] = "refuse"
    """What becomes of a span between the first and the last that has no files, or none with rows:
    an error, or nothing."""

    @model_validator(mode="after")
    def _check_last(self) -> Self:
        self.require(
            bool(re.fullmatch(r"|\d+|\d{4}-\d\d-\d\d", self.last)),
            "last",
            'a date such as 2026-11-30, a span\'s number, or "" for the newest span',
        )
        return self
