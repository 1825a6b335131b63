"""The figure behind a picture that was written, for tests to look into."""

from collections.abc import Callable

import pytest
from matplotlib.figure import Figure


def drawn(draw: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Figure:
    """The one figure that `draw` writes."""
    figures = []
    save = Figure.savefig

    def keep_and_save(figure: Figure, *args: object, **kwargs: object) -> None:
        figures.append(figure)
        save(figure, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Figure, "savefig", keep_and_save)
        draw()
    [figure] = figures
    return figure
