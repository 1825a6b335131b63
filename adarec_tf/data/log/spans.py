"""The daily folders of a log: which there are, and which of them a run reads.

A log's path may be a pattern in the syntax of TFX: `{YYYY}`, `{MM}` and `{DD}` for a day, or
`{SPAN}` for a number (`{SPAN:3}` with leading zeros), and `{VERSION}`, of which the newest is
taken. `*` and `?` stand for what they do in a shell. A day's number is that of days since 1970.

Examples:
    >>> pattern = SpanPattern.parse("logs/{YYYY}-{MM}-{DD}/*.csv")
    >>> pattern.folder, pattern.label(20787), pattern.fill(20787)
    ('logs', '2026-11-30', 'logs/2026-11-30/*.csv')
"""

import datetime
import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.readers import has_rows, list_input_files

_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DATE_FIELDS = ("YYYY", "MM", "DD")
_NAME = r"(?:(YYYY|MM|DD)|(SPAN|VERSION)(?::0*([1-9]\d*))?)"
_TOKEN, _ESCAPED_TOKEN = re.compile(rf"\{{{_NAME}\}}"), re.compile(rf"\\\{{{_NAME}\\\}}")
_SYNTAX = "{YYYY}, {MM} and {DD}, or one {SPAN} or {SPAN:width}, and at most one {VERSION}"
# How many spans a message names.
_NUM_NAMED = 5


class SpanError(ValueError):
    """Spans cannot be chosen; the message says what should be there, or be set."""


class Span(NamedTuple):
    """The files of a day, or of whatever a log is cut by.

    Attributes:
      number: of the span; days since 1970 where it is a date.
      label: the date, or the number.
      files: in the order in which interactions arrived; none of a span that is missing.
    """

    number: int
    label: str
    files: tuple[str, ...]


def is_span_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a log's path stands for spans, and is not the name of a file or folder."""
    return "{" in os.fspath(path) and not os.path.exists(path)


@dataclass(frozen=True)
class SpanPattern:
    """A path with the places of a span, and perhaps of a version.

    Attributes:
      text: as it was given, without slashes at its end.
    """

    text: str

    @classmethod
    def parse(cls, path: str | os.PathLike[str]) -> "SpanPattern":
        """Reads a pattern.

        Raises:
          SpanError: a name in braces is unknown, missing or repeated, or a width is no number.
        """
        text = os.fspath(path).rstrip("/")
        names = sorted(date or name for date, name, _ in _TOKEN.findall(text))
        if "VERSION" in names:
            names.remove("VERSION")
        has_other_braces = re.search(r"[{}]", _TOKEN.sub("", text))
        if has_other_braces or names not in (["SPAN"], sorted(_DATE_FIELDS)):
            raise SpanError(
                f"A pattern of daily folders should have {_SYNTAX}, as in "
                f"logs/{{YYYY}}-{{MM}}-{{DD}}/*. Received: {text}."
            )
        return cls(text)

    @property
    def folder(self) -> str:
        """What all spans lie in: the path up to the first name with a brace, `*` or `?`."""
        parts = self.text.split("/")
        number = next(n for n, part in enumerate(parts) if re.search(r"[{*?\[]", part))
        return "/".join(parts[:number]) or ("/" if self.text.startswith("/") else ".")

    @property
    def has_dates(self) -> bool:
        """Whether spans are days."""
        return "{DD}" in self.text

    def label(self, number: int) -> str:
        """A span as people name it."""
        if not self.has_dates:
            return str(number)
        return datetime.date.fromordinal(_EPOCH + number).isoformat()

    def fill(self, number: int, version: int | None = None) -> str:
        """The glob pattern of a span.

        Args:
          number: of the span.
          version: of its data; None stands for all.
        """
        date = dict(zip(_DATE_FIELDS, self.label(number).split("-"), strict=False))

        def value(token: re.Match[str]) -> str:
            field, name, width = token.groups()
            if field:
                return date[field]
            given = number if name == "SPAN" else version
            return "*" if given is None else str(given).zfill(int(width or 0))

        return _TOKEN.sub(value, self.text)

    def find(self) -> dict[int, dict[int, list[str]]]:
        """The paths that match, by span and version (0 where the pattern has none).

        Raises:
          SpanError: something that looks like a date is none.
        """
        found: dict[int, dict[int, list[str]]] = {}
        regex = self._regex()
        for path in sorted(glob.glob(_TOKEN.sub("*", self.text))):
            match = regex.fullmatch(path)
            if match is not None and not os.path.basename(path).startswith((".", "_")):
                values = match.groupdict("0")
                number = self._span_number(path, values)
                versions = found.setdefault(number, {})
                versions.setdefault(int(values.get("VERSION", 0)), []).append(path)
        return found

    def _regex(self) -> re.Pattern[str]:
        def group(token: re.Match[str]) -> str:
            date, name, width = token.groups()
            digits = f"{{{width or len(date)}}}" if width or date else "+"
            return rf"(?P<{date or name}>\d{digits})"

        text = re.escape(self.text).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
        return re.compile(_ESCAPED_TOKEN.sub(group, text))

    def _span_number(self, path: str, values: dict[str, str]) -> int:
        if not self.has_dates:
            return int(values["SPAN"])
        try:
            date = datetime.date(*(int(values[name]) for name in _DATE_FIELDS))
        except ValueError as error:
            raise SpanError(
                f"Daily folders should be named by dates. Received: {path} ({error})."
            ) from error
        return date.toordinal() - _EPOCH


def choose_spans(path: str | os.PathLike[str], config: SpansConfig) -> list[Span]:
    """The spans that a run reads, oldest first.

    Args:
      path: a pattern.
      config: up to which span, how many, and whether one between may be missing.

    Returns:
      All spans from the first to the last, those that are missing without files. A window that
      reaches back before the first span there is begins with that. Where missing spans are skipped,
      files without rows are as if they were not there.

    Raises:
      SpanError: the pattern is none, nothing matches it, the last span is not there, or one between
        is missing and should not.
      InteractionsError: a file is of no kind that can be read.
    """
    pattern = SpanPattern.parse(path)
    found = pattern.find()
    files = {number: _list_files(versions) for number, versions in found.items()}
    if config.missing == "skip":
        files = {number: list(filter(has_rows, paths)) for number, paths in files.items()}
    numbers = sorted(number for number in files if files[number])
    if not numbers:
        raise SpanError(
            f"{pattern.text} should match files of a log. Received: nothing that does"
            f"{' but what is empty' if files else f' in {pattern.folder}'}."
        )
    last = _last_number(pattern, numbers, config.last)
    first = max(numbers[0], last - config.window + 1) if config.window else numbers[0]
    chosen = [
        Span(number, pattern.label(number), tuple(files.get(number, ())))
        for number in range(first, last + 1)
    ]
    if config.missing == "refuse":
        _check_none_is_missing(pattern, chosen)
    return chosen


def list_log_files(path: str, config: SpansConfig) -> list[str]:
    """The files of any log, in the order in which interactions arrived.

    Args:
      path: a file, a folder, or a pattern of daily folders.
      config: which daily folders are read.

    Raises:
      SpanError: daily folders cannot be chosen.
      InteractionsError: nothing is there, or something that is not a known kind of file.
    """
    if not is_span_pattern(path):
        return list_input_files(path)
    return [file for span in choose_spans(path, config) for file in span.files]


def describe_spans(spans: Sequence[Span]) -> str:
    """What was chosen, in a line.

    Examples:
        >>> describe_spans([Span(3, "3", ("a",)), Span(4, "4", ()), Span(5, "5", ("b", "c"))])
        '3 to 5: 2 spans, 3 files; nothing for 4'
    """
    missing = [span.label for span in spans if not span.files]
    counts = {
        "span": len(spans) - len(missing),
        "file": sum(len(span.files) for span in spans),
    }
    ends = " to ".join(dict.fromkeys((spans[0].label, spans[-1].label)))
    there = ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items())
    return f"{ends}: {there}" + (f"; nothing for {_named(missing)}" if missing else "")


def _list_files(versions: dict[int, list[str]]) -> list[str]:
    """The files of the newest version; a path may be a folder, with nothing in it or files."""
    return [
        file
        for path in versions[max(versions)]
        if not os.path.isdir(path)
        or any(not name.startswith((".", "_")) for name in os.listdir(path))
        for file in list_input_files(path)
    ]


def _last_number(pattern: SpanPattern, numbers: list[int], last: str) -> int:
    if not last:
        return numbers[-1]
    labels = [pattern.label(number) for number in numbers]
    given = last if pattern.has_dates else str(int(last)) if last.isdecimal() else last
    if given not in labels:
        raise SpanError(
            f"`spans.last` should be a span of {pattern.text} that has files: there are "
            f"{labels[0]} to {labels[-1]}. Received: {last}."
        )
    return numbers[labels.index(given)]


def _check_none_is_missing(pattern: SpanPattern, spans: Sequence[Span]) -> None:
    missing = [span for span in spans if not span.files]
    if not missing:
        return
    place = os.path.dirname(pattern.fill(missing[0].number))
    detail = f"; {place} is empty" if os.path.isdir(place) and not os.listdir(place) else ""
    raise SpanError(
        f"All spans of {pattern.text} from {spans[0].label} to {spans[-1].label} should have "
        f"files. Received: none for {_named([span.label for span in missing])}{detail}. Bring "
        "them, or read the log without them: --set spans.missing=skip."
    )


def _named(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _NUM_NAMED} more" if len(labels) > _NUM_NAMED else ""
    return ", ".join(labels[:_NUM_NAMED]) + more
