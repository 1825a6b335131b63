from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.search_picture import draw_search
from tests.adarec_tf.report.drawn_figure import drawn

NUM_OPERATIONS = len(PRIMITIVES)


def trace_of(alphas: list[np.ndarray], num_warmup: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch + 1,
            "alphas_moved": epoch >= num_warmup,
            "entropy": 1.0 - 0.1 * epoch,
            "ndcg@10/full": 0.05 + 0.01 * epoch,
            "alphas": of_epoch.tolist(),
        }
        for epoch, of_epoch in enumerate(alphas)
    ]


def figure_of(
    trace: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Figure:
    return drawn(lambda: draw_search(trace, tmp_path / "search.png"), monkeypatch)


def axes_titled(figure: Figure, part: str) -> Axes:
    [axes] = [axes for axes in figure.axes if part in axes.get_title()]
    return axes


@pytest.mark.parametrize("shape", [(3, NUM_OPERATIONS), (2, 3, NUM_OPERATIONS)])
def test_bars_are_the_operations_shares_of_every_epoch(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided = np.full(shape, -1000.0)
    decided[..., 4] = 1000.0
    # One edge in six (or in three) believes in another operation: 1 / 6 (or 1 / 3) of the share.
    decided[(0,) * (len(shape) - 1)] = np.where(np.arange(NUM_OPERATIONS) == 7, 0.0, -1000.0)
    num_edges = decided.size // NUM_OPERATIONS
    figure = figure_of(trace_of([np.zeros(shape), decided], 0), tmp_path, monkeypatch)
    axes = axes_titled(figure, "Share of each operation")
    heights = np.array([[bar.get_height() for bar in bars] for bars in axes.containers]).T
    bottoms = np.array([[bar.get_y() for bar in bars] for bars in axes.containers]).T
    expected = np.zeros(NUM_OPERATIONS)
    expected[[4, 7]] = 1 - 1 / num_edges, 1 / num_edges
    np.testing.assert_allclose(heights, [[1 / NUM_OPERATIONS] * NUM_OPERATIONS, expected])
    np.testing.assert_allclose(bottoms[:, 1:], np.cumsum(heights, axis=1)[:, :-1])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[::-1] == list(PRIMITIVES)


def test_lines_show_entropy_and_validation_and_the_warmup_is_grey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_of([np.zeros((1, NUM_OPERATIONS))] * 3, 2)
    figure = figure_of(trace, tmp_path, monkeypatch)
    for title, name in (("Entropy", "entropy"), ("validation NDCG@10", "ndcg@10/full")):
        axes = axes_titled(figure, title)
        [line] = axes.lines
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), [record[name] for record in trace])
        [warmup] = axes.patches
        assert (warmup.get_x(), warmup.get_width()) == (0.5, 2.0)
        assert axes.get_xlabel() == "epoch (grey: weights only)"
    without = figure_of(trace_of([np.zeros((1, NUM_OPERATIONS))], 0), tmp_path, monkeypatch)
    axes = axes_titled(without, "Entropy")
    assert (list(axes.patches), axes.get_xlabel()) == ([], "epoch")


def test_depths_are_bars_and_widths_lines_of_which_the_last_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = []
    for width, num_epochs in ((16, 3), (48, 1), (32, 2)):
        of_width = trace_of([np.zeros((1, NUM_OPERATIONS))] * num_epochs, 1)
        depths = {"1": 0.1 * num_epochs, "2": 1.0 - 0.1 * num_epochs}
        traces += [{**record, "hidden_dim": width, "depths": depths} for record in of_width]
    figure = figure_of(traces, tmp_path, monkeypatch)
    for title in ("Entropy", "validation NDCG@10"):
        lines = axes_titled(figure, title).lines
        assert [len(line.get_xdata()) for line in lines] == [3, 1, 2]
        assert [line.get_color() for line in lines].count(lines[-1].get_color()) == 1
    axes = axes_titled(figure, "validation NDCG@10")
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["width 16", "width 48", "width 32"]
    axes = axes_titled(figure, "Probability of each depth")
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    np.testing.assert_allclose(heights, [[0.2, 0.2], [0.8, 0.8]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["2 cells", "1 cell"]


def test_records_that_lack_what_is_drawn_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least one epoch record\. Received: none"):
        draw_search([], tmp_path / "search.png")
    trace = trace_of([np.zeros((1, NUM_OPERATIONS))] * 2, 0)
    del trace[1]["entropy"]
    with pytest.raises(ValueError, match="Received: no entropy in epoch 2"):
        draw_search(trace, tmp_path / "search.png")
    assert list(tmp_path.iterdir()) == []
