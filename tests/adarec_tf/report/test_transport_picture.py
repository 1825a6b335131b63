import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from adarec_tf.report.picture import inline_svg
from adarec_tf.report.transport_picture import transport_pictures


def records(num_epochs: int, num_student_layers: int, num_teacher_layers: int) -> list[dict]:
    size = num_student_layers * num_teacher_layers
    plans = np.random.default_rng(0).dirichlet(np.ones(size), num_epochs)
    history = []
    for flat_plan in plans:
        plan = flat_plan.reshape(num_student_layers, num_teacher_layers)
        history.append(
            {"task": 3.0, "ndcg@10/full": 0.1}
            | {f"plan[{s + 1},{t + 1}]": float(v) for (s, t), v in np.ndenumerate(plan)}
            | {f"student_mass[{s + 1}]": float(v) for s, v in enumerate(plan.sum(axis=1))}
            | {f"teacher_mass[{t + 1}]": float(v) for t, v in enumerate(plan.sum(axis=0))}
        )
    return history


def test_heatmaps_show_the_plans_of_the_first_last_and_some_epochs_on_one_scale() -> None:
    history = records(10, 2, 11)
    heatmaps = [
        axes
        for axes in transport_pictures(history)[0].figure.axes
        if axes.get_title().startswith("epoch ")
    ]
    assert [axes.get_title() for axes in heatmaps] == ["epoch 1", "epoch 4", "epoch 7", "epoch 10"]
    for axes, epoch in zip(heatmaps, (0, 3, 6, 9), strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("teacher layer", "student layer")
        # [0, 10] tells layers from text order: "11" sorts before "2".
        expected = [
            [100 * history[epoch][f"plan[{s},{t}]"] for t in range(1, 12)] for s in range(1, 3)
        ]
        np.testing.assert_allclose(axes.images[0].get_array(), expected, rtol=1e-6)
        np.testing.assert_allclose(
            [float(text.get_text()) for text in axes.texts], np.ravel(expected), atol=0.5
        )
    assert len({axes.images[0].get_clim() for axes in heatmaps}) == 1


def test_lines_show_the_masses_of_every_epoch() -> None:
    history = records(6, 2, 3)
    pictures = {picture.title: picture.figure for picture in transport_pictures(history)}
    for side, num_layers in (("student", 2), ("teacher", 3)):
        [axes] = pictures[f"Mass of each {side} layer"].axes
        assert axes.get_xlabel() == "epoch"
        assert len(axes.lines) == num_layers
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == num_layers
        for layer, line in enumerate(axes.lines, start=1):
            assert line.get_label() == str(layer)
            np.testing.assert_array_equal(line.get_xdata(), range(1, 7))
            np.testing.assert_allclose(
                line.get_ydata(), [100 * r[f"{side}_mass[{layer}]"] for r in history], rtol=1e-6
            )


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (3, 4, 8), (5, 4, 16)])
def test_pictures_of_any_size_are_drawn(size: tuple[int, int, int]) -> None:
    drawn = [inline_svg(picture, "name") for picture in transport_pictures(records(*size))]
    assert len(drawn) == 3
    assert all("<path" in svg for svg in drawn)


def without(history: list[dict], name: str, epoch: int) -> list[dict]:
    del history[epoch - 1][name]
    return history


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], "at least one epoch record. Received: none"),
        ([{"task": 3.0, "hidden_kd": 0.4}], r"`plan\[s,t\]`.*Received: task, hidden_kd"),
        (without(records(3, 2, 2), "plan[1,2]", 2), r"no plan\[1,2\] in epoch 2"),
        (without(records(3, 2, 2), "student_mass[1]", 1), r"no student_mass\[1\] in epoch 1"),
    ],
)
def test_records_without_a_transport_are_an_error_that_says_what_lacks(
    history: list[dict], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        transport_pictures(history)


def test_the_command_line_starts_without_the_drawing_library() -> None:
    root = Path(__file__).parents[3]
    code = "import sys; from adarec_tf import cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
