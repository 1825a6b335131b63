"""What the pictures of a report have in common: words, sizes, and SVG in the colors of its page.

A picture is at most 4.4 inches wide where it should be read on a phone without scrolling.
"""

import html
import io
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure

# For `matplotlib.rc_context`, around drawing and writing.
STYLE: Mapping[str, Any] = {
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "font.size": 9.0,
    "legend.fontsize": "small",
    "legend.frameon": False,
    # Text stays text: it is small, and has the font of the page, which is narrower than this one.
    "svg.fonttype": "none",
}
SIZE = (4.3, 2.9)  # inches
INK = "#222222"
PAPER = "#ffffff"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#5d4a7a"
GREY, PALE, SHADE = "#8a8a8a", "#c4c4c4", "#eeeeee"
# The page has two values of each: for light and for dark.
_THEME = {
    "#000000": "ink",
    "#b0b0b0": "line",
    INK: "ink",
    PAPER: "paper",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    PURPLE: "purple",
    GREY: "muted",
    PALE: "pale",
    SHADE: "shade",
}
_PIXELS_PER_INCH = 105


class Picture(NamedTuple):
    """A figure and its words.

    Attributes:
      figure: what is drawn.
      title: what it is.
      alt: what it shows, for who does not see it.
      caption: how to read it.
    """

    figure: Figure
    title: str
    alt: str
    caption: str = ""


def inline_svg(picture: Picture, name: str) -> str:
    """A picture as an element of a page: no ids, fonts or colors but those of the page.

    Args:
      picture: what is drawn.
      name: of the picture, unique in the page.
    """
    content = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        picture.figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    drawn = content.getvalue().replace("xlink:href", "href")
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn[drawn.index("<svg") :])
    drawn = re.sub(r"(font: [^']*?)'[^;\"]*", r"\1system-ui, sans-serif", drawn)
    drawn = re.sub("|".join(_THEME), lambda color: f"var(--{_THEME[color[0]]})", drawn)
    width, height = picture.figure.get_size_inches()
    pixels = round(width * _PIXELS_PER_INCH)
    attributes = (
        f'viewBox="0 0 {72 * width:g} {72 * height:g}" role="img" '
        f'aria-label="{html.escape(picture.alt)}" '
        f'style="width: {pixels}px; min-width: {round(0.75 * pixels)}px"'
    )
    return re.sub(r"<svg[^>]*>", lambda tag: f"<svg {attributes}>", drawn, count=1)


def check_records(records: Sequence[Mapping[str, Any]], names: Collection[str]) -> None:
    """Checks that there are records, and that each holds what is drawn.

    Args:
      records: one an epoch.
      names: what each should hold.

    Raises:
      ValueError: there is no record, or one lacks a name.
    """
    if not records:
        raise ValueError("A picture needs at least one epoch record. Received: none.")
    for epoch, record in enumerate(records, start=1):
        missing = sorted(set(names) - set(record))
        if missing:
            raise ValueError(
                f"Every epoch record should hold {', '.join(sorted(names))}. Received: no "
                f"{', '.join(missing)} in epoch {epoch}."
            )
