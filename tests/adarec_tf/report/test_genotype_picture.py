import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch

from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.report.genotype_picture import genotype_picture
from adarec_tf.report.picture import inline_svg

FIRST = ["conv_3", "none", "dilated_2_conv_5"]
SECOND = ["skip", "max_pool_3", "none"]


def figure_of(genotype: Genotype) -> Figure:
    return genotype_picture(genotype, {}).figure


def texts(axes: Axes) -> dict[str, tuple[float, float]]:
    """What is written, and where."""
    return {text.get_text(): text.get_position() for text in axes.texts}


def test_equal_cells_are_drawn_once_and_counted() -> None:
    for cells, titles in (
        ([FIRST], ["cell 1"]),
        ([FIRST, FIRST, FIRST], ["cells 1 to 3  (× 3)"]),
        ([FIRST, SECOND, FIRST], ["cells 1, 3  (× 2)", "cell 2"]),
        ([SECOND, FIRST, FIRST], ["cell 1", "cells 2 to 3  (× 2)"]),
    ):
        figure = figure_of(Genotype.from_primitives(2, cells))
        assert [axes.get_title() for axes in figure.axes if axes.get_title()] == titles


def test_every_operation_is_named_between_its_nodes_and_none_is_left_out() -> None:
    genotype = Genotype.from_primitives(
        3, [["conv_3", "skip", "dilated_2_conv_5", "none", "none", "average_pool_3"]]
    )
    [axes] = figure_of(genotype).axes
    written = texts(axes)
    node = {name: written[name][0] for name in ("in", "1", "2", "3", "out")}
    for label, source, target in (
        ("conv_3", "in", "1"),
        ("skip", "in", "2"),
        ("dilated_2\nconv_5", "1", "2"),
        ("average\npool_3", "2", "3"),
    ):
        x, y = written[label]
        assert x == pytest.approx((node[source] + node[target]) / 2)
        # Over the nodes that it passes, on the line where it passes none.
        assert (y > 0) == (label == "skip")
    assert not any("none" in label for label in written)
    # Four operations, and the output's edges from the input and three nodes.
    assert len([patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]) == 8


def test_dead_nodes_and_what_starts_at_them_are_grey_and_reach_no_output() -> None:
    # Nothing flows into node 1, so nothing flows from it into node 3 either.
    genotype = Genotype.from_primitives(3, [["none", "conv_3", "conv_5", "none", "skip", "none"]])
    [axes] = figure_of(genotype).axes
    colors = {text.get_text(): text.get_color() for text in axes.texts}
    grey = colors["1"]
    assert {label for label, color in colors.items() if color == grey} == {
        *("1", "3", "conv_5", "skip")
    }
    circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert len({circle.get_edgecolor() for circle in circles}) == 2
    styles = [p.get_linestyle() for p in axes.patches if isinstance(p, FancyArrowPatch)]
    # One operation that lives, two that do not, the output's edges from the input and node 2.
    assert sorted(styles) == ["dashed", "dashed", "dotted", "dotted", "solid"]


def test_every_operation_has_a_place_in_a_picture_of_any_size() -> None:
    names = list(PRIMITIVES)
    cells = [names[shift:] + names[:shift] for shift in range(3)]
    for genotype in (
        Genotype.from_primitives(4, cells),
        Genotype.from_primitives(1, [["none"]]),
    ):
        picture = genotype_picture(genotype, {})
        assert max(picture.figure.get_size_inches()) < 20
        assert inline_svg(picture, "name").startswith("<svg ")


def test_costs_are_on_the_edges_latency_where_it_was_measured() -> None:
    genotype = Genotype.from_primitives(2, [["conv_3", "skip", "conv_5"]])
    costs = {
        "conv_3": {"macs": 1_230_000, "latency_ms": 0.0},
        "conv_5": {"macs": 4_560_000, "latency_ms": 0.0},
        "skip": {"macs": 0, "latency_ms": 0.0},
    }
    [axes] = genotype_picture(genotype, costs).figure.axes
    assert {"conv_3\n1.23 M", "conv_5\n4.56 M", "skip"} <= set(texts(axes))
    costs["conv_3"]["latency_ms"] = 0.012
    picture = genotype_picture(genotype, costs)
    [axes] = picture.figure.axes
    assert {"conv_3\n12 µs", "conv_5\n0 µs", "skip\n0 µs"} <= set(texts(axes))
    assert "latency" in picture.caption
