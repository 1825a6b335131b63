"""Figures in the text of a document, and the stored results that they come from.

A comment behind a paragraph says where its figures stand, a line each:

    Waiting for input is 0.06% of a training loop, and every student took 1.41 times as long.
    <!-- figures:
    0.06% = profile_beauty.json: input_share
    1.41 = architectures.json: rows > 1 > seconds / architectures.json: rows > 0 > seconds
    -->

A value is a path through the JSON of a file; `a / b` divides it by another value or a number. It
has to be the figure when it is rounded to the figure's digits.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.stored_results import RESULTS
from tests.benchmarks.tables import TABLE

COMMENT = re.compile(r"<!-- figures:\n(.*?)\n-->", re.DOTALL)
# A number with digits after the point, a thousands comma, a percent sign or a unit behind it.
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_UNITS = r"(?:s|ms|kB|MB|GB|MiB|minutes|seconds|times)\b"
FIGURE = re.compile(
    rf"(?<![\w.,@-])(?:{_NUMBER}(?:%| (?={_UNITS}))|\d[\d,]*\.\d+|\d{{1,3}}(?:,\d{{3}})+)"
)


class Quoted(NamedTuple):
    """A figure of a comment.

    Attributes:
      text: as it stands in the paragraph.
      source: where its value comes from.
      paragraph: the text before the comment.
    """

    text: str
    source: str
    paragraph: str


def quoted_figures(document: str) -> Iterator[Quoted]:
    """Every figure that a comment of a document names."""
    for paragraph in paragraphs(document):
        text = COMMENT.sub("", paragraph)
        for comment in COMMENT.findall(paragraph):
            for line in comment.splitlines():
                quoted, separator, source = line.partition(" = ")
                if not separator:
                    raise ValueError(f"A figure should be TEXT = VALUE. Received: {line}.")
                yield Quoted(quoted, source, text)


def paragraphs(document: str) -> list[str]:
    """What stands between empty lines, each with the comments behind it."""
    return re.split(r"\n\s*\n", document)


def named_files(quoted: Quoted) -> list[str]:
    """The stored results that a figure's value comes from."""
    return [term.partition(": ")[0] for term in quoted.source.split(" / ") if ": " in term]


def is_true(quoted: Quoted) -> bool:
    """Whether the value, rounded as the figure is, is the figure."""
    found = re.search(_NUMBER, quoted.text)
    if found is None:
        raise ValueError(f"A figure should have a number. Received: {quoted.text}.")
    number = found[0].replace(",", "")
    value = value_of(quoted.source) * (100 if "%" in quoted.text else 1)
    digits = len(number.partition(".")[2])
    return abs(value - float(number)) <= 0.5 * 10**-digits * (1 + 1e-9)


def value_of(source: str) -> float:
    """The value that a comment names, `FILE: key > key` or a number, divided by a second one."""
    values = [_term(term) for term in source.split(" / ")]
    return values[0] if len(values) == 1 else values[0] / values[1]


def _term(term: str) -> float:
    name, separator, path = term.partition(": ")
    if not separator:
        return float(term)
    value: Any = json.loads((RESULTS / name).read_text())
    for key in path.split(" > "):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return float(value)


def unheld_figures(document: str) -> list[str]:
    """Figures of a document's text that neither a comment nor a table of its section holds."""
    unheld = []
    for section in re.split(r"\n(?=#)", without_code(document)):
        held_by_tables = "".join(found[4] for found in TABLE.finditer(section))
        for paragraph in paragraphs(TABLE.sub("", section)):
            held = held_by_tables + "".join(
                quoted.text + "\n" for quoted in quoted_figures(paragraph)
            )
            for figure in FIGURE.findall(COMMENT.sub("", paragraph)):
                if figure.strip() not in re.findall(rf"{_NUMBER}%?", held):
                    unheld.append(f"{figure.strip()} in: {paragraph.strip()[:80]}")
    return unheld


def without_code(document: str) -> str:
    """A document without what is code, and the addresses of its links."""
    document = re.sub(r"```.*?```", "", document, flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", document)


def read(path: Path) -> str:
    """The text of a document."""
    return path.read_text("utf-8")
