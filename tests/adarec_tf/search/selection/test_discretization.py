import numpy as np
import pytest

from adarec_tf.config.student import StudentConfig
from adarec_tf.search.selection.discretization import DiscretizationGap, mean_of_drawn
from adarec_tf.search.space.alphas import OPERATIONS, ArchitectureLogits, genotype_of

STUDENT = StudentConfig(num_cells=2, num_nodes=2)
CONV, SKIP = OPERATIONS.index("conv_3"), OPERATIONS.index("skip")


def test_sharp_alphas_relax_to_the_one_architecture() -> None:
    logits = np.full((3, len(OPERATIONS)), -100.0)
    logits[:, CONV] = 0.0
    genotype = genotype_of([CONV] * 3, num_nodes=2, num_cells=2)
    validate = {genotype: 0.25}.__getitem__
    assert (
        mean_of_drawn(ArchitectureLogits(logits), validate, student=STUDENT, num_drawn=3, seed=1)
        == 0.25
    )


def test_the_relaxed_metric_is_the_mean_over_the_softmax() -> None:
    logits = np.full((3, len(OPERATIONS)), -100.0)
    logits[:, CONV] = 0.0
    logits[0, SKIP] = np.log(3.0)
    mean = mean_of_drawn(
        ArchitectureLogits(logits),
        lambda genotype: float(genotype.cells[0][0].primitive == "skip"),
        student=STUDENT,
        num_drawn=400,
        seed=1,
    )
    assert mean == pytest.approx(0.75, abs=0.06)


def test_the_gap_is_positive_where_the_choice_costs() -> None:
    assert DiscretizationGap(relaxed=0.5, derived=0.4, inherited=0.4).gap == pytest.approx(0.1)
