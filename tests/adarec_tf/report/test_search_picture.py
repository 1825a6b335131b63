from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.search_picture import search_pictures

NUM_OPERATIONS = len(PRIMITIVES)
SURE, GOOD = "How sure the search was", "How good its student was"


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


def axes_of(trace: list[dict[str, Any]], title: str) -> tuple[Figure, Axes]:
    [picture] = [picture for picture in search_pictures(trace) if picture.title == title]
    [axes] = picture.figure.axes
    return picture.figure, axes


@pytest.mark.parametrize("shape", [(3, NUM_OPERATIONS), (2, 3, NUM_OPERATIONS)])
def test_bars_are_the_operations_shares_of_every_epoch(
    shape: tuple[int, ...],
) -> None:
    decided = np.full(shape, -1000.0)
    decided[..., 4] = 1000.0
    # One edge in six (or in three) believes in another operation: 1 / 6 (or 1 / 3) of the share.
    decided[(0,) * (len(shape) - 1)] = np.where(np.arange(NUM_OPERATIONS) == 7, 0.0, -1000.0)
    num_edges = decided.size // NUM_OPERATIONS
    figure, axes = axes_of(trace_of([np.zeros(shape), decided], 0), "Share of each operation")
    heights = np.array([[bar.get_height() for bar in bars] for bars in axes.containers]).T
    bottoms = np.array([[bar.get_y() for bar in bars] for bars in axes.containers]).T
    expected = np.zeros(NUM_OPERATIONS)
    expected[[4, 7]] = 1 - 1 / num_edges, 1 / num_edges
    np.testing.assert_allclose(heights, [[1 / NUM_OPERATIONS] * NUM_OPERATIONS, expected])
    np.testing.assert_allclose(bottoms[:, 1:], np.cumsum(heights, axis=1)[:, :-1])
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(PRIMITIVES)


def test_lines_show_entropy_and_validation_and_the_warmup_is_grey() -> None:
    trace = trace_of([np.zeros((1, NUM_OPERATIONS))] * 3, 2)
    for title, name in ((SURE, "entropy"), (GOOD, "ndcg@10/full")):
        _, axes = axes_of(trace, title)
        [line] = axes.lines
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), [record[name] for record in trace])
        [warmup] = axes.patches
        assert (warmup.get_x(), warmup.get_width()) == (0.5, 2.0)
        assert axes.get_xlabel() == "epoch (grey: weights only)"
    _, axes = axes_of(trace_of([np.zeros((1, NUM_OPERATIONS))], 0), SURE)
    assert (list(axes.patches), axes.get_xlabel()) == ([], "epoch")


def test_depths_are_bars_and_widths_lines_of_which_the_last_was_chosen() -> None:
    traces = []
    for width, num_epochs in ((16, 3), (48, 1), (32, 2)):
        of_width = trace_of([np.zeros((1, NUM_OPERATIONS))] * num_epochs, 1)
        depths = {"1": 0.1 * num_epochs, "2": 1.0 - 0.1 * num_epochs}
        traces += [{**record, "hidden_dim": width, "depths": depths} for record in of_width]
    for title in (SURE, GOOD):
        lines = axes_of(traces, title)[1].lines
        assert [len(line.get_xdata()) for line in lines] == [3, 1, 2]
        assert [line.get_color() for line in lines].count(lines[-1].get_color()) == 1
    _, axes = axes_of(traces, GOOD)
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["width 16", "width 48", "width 32"]
    figure, axes = axes_of(traces, "Probability of each depth")
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    np.testing.assert_allclose(heights, [[0.2, 0.2], [0.8, 0.8]])
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["1 cell", "2 cells"]


def test_records_that_lack_what_is_drawn_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"at least one epoch record\. Received: none"):
        search_pictures([])
    trace = trace_of([np.zeros((1, NUM_OPERATIONS))] * 2, 0)
    del trace[1]["entropy"]
    with pytest.raises(ValueError, match="Received: no entropy in epoch 2"):
        search_pictures(trace)
