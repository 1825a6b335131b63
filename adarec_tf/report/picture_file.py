"""Pictures as files: a PNG appears when it is complete."""

import os
import tempfile
from pathlib import Path

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
