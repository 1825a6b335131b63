"""What the pictures have in common: records that are complete, and a file that is."""

import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_DOTS_PER_INCH = 120


def write_picture(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure as PNG.

    Args:
      figure: what is written.
      path: of the file; its folder is created.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename does not cross file systems.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
        picture = Path(scratch) / "picture.png"
        figure.savefig(picture, dpi=_DOTS_PER_INCH)
        os.replace(picture, path)


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
