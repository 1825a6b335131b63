import json

import numpy as np
import pytest

from adarec_tf.models.students.cost_table import Cost
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.report.front_picture import front_picture
from adarec_tf.search.selection.pareto import FrontStudent, find_front


@pytest.mark.parametrize("quantity", ["latency_ms", "macs", "served_bytes", "parameters"])
def test_students_stand_where_their_figures_are(quantity: str) -> None:
    students = [
        FrontStudent(
            Genotype.from_primitives(1, [[operation]]),
            metric,
            Cost(*(scale * amount for scale in (10, 1000, 100)), 0.5 * amount),  # type: ignore[arg-type]
        )
        for operation, amount, metric in [("conv_3", 1, 0.1), ("conv_5", 3, 0.3), ("skip", 2, 0.05)]
    ]
    front = find_front(students[2], students[:2], quantity)
    [axes] = front_picture(json.loads(front.to_json())).figure.axes
    [line, searched] = axes.lines
    expected = [(getattr(one.cost, quantity), one.metric) for one in students]
    np.testing.assert_allclose(line.get_xydata(), expected[:2])
    np.testing.assert_allclose(searched.get_xydata(), expected[2:])
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
