"""The judgment of a comparison at equal cost, on students whose figures are known."""

import pytest

from adarec_tf.models.students import Genotype
from tests.benchmarks.fronts import far_apart
from tests.benchmarks.judged_fronts import Trained, best_of, front_of, judge, summary, volume

TEACHERS = {"valid": 1.0, "test": 0.5}


def trained(operation: str, valid: float, test: float) -> Trained:
    return Trained(Genotype.from_primitives(1, [[operation]]), valid, test, 60.0)


FAST, MIDDLE, SLOW, WORSE = (
    trained("skip", 0.9, 0.45),
    trained("conv_3", 0.98, 0.48),
    trained("conv_5", 1.0, 0.5),
    trained("dilated_2_conv_3", 0.97, 0.5),
)
LATENCY = {
    row.genotype.describe(): latency
    for row, latency in ((FAST, 0.5), (MIDDLE, 0.75), (WORSE, 0.8), (SLOW, 1.0))
}
BYTES = {row.genotype.describe(): size for row, size in ((FAST, 4.0), (MIDDLE, 1.0), (SLOW, 3.0))}


def test_a_front_is_chosen_on_validation() -> None:
    assert front_of([SLOW, WORSE, FAST, MIDDLE], LATENCY) == [FAST, MIDDLE, SLOW]


def test_of_equal_latency_the_better_one_counts() -> None:
    latency = dict.fromkeys(LATENCY, 1.0)
    assert front_of([FAST, SLOW, MIDDLE], latency) == [SLOW]


def test_the_volume_is_the_mean_of_the_best_test_within_each_latency() -> None:
    # Nobody is faster than 0.5; 0.45 is half of the way from 0.4 to 0.5, and 0.48 is 0.8 of it.
    found = volume([FAST, MIDDLE, SLOW], LATENCY, dearest=2.0, best=0.5)
    assert found == pytest.approx((0.5 * 0.25 + 0.8 * 0.25 + 1.0 * 1.0) / 2.0)


def test_the_volume_has_no_debts() -> None:
    poor = trained("skip", 0.5, 0.1)
    assert volume([poor, SLOW], LATENCY, dearest=1.0, best=0.5) == 0.0


def test_a_latency_is_of_the_first_that_is_good_enough_on_validation() -> None:
    found = judge([SLOW, FAST, MIDDLE], LATENCY, BYTES, TEACHERS, best=0.9)
    assert (found["latency of 98%"], found["its test share"]) == (0.75, 0.96)
    assert found["best test share"] == 1.0
    assert found["students"] == 3
    assert found["latency of 98% of best"] == 0.5
    # Of four bytes, the middle one has its 0.8 from one byte on, the slow one 1.0 from three.
    assert found["volume by bytes"] == pytest.approx((0.8 * 2 + 1.0 * 1) / 4)


def test_a_front_may_have_nobody_who_is_good_enough() -> None:
    found = judge([FAST], LATENCY, BYTES, TEACHERS, best=1.0)
    assert found["latency of 98%"] is None
    assert found["latency of 98% of best"] is None


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_all_of_a_front_are_trained_its_ends_first(count: int) -> None:
    order = far_apart(count)
    assert sorted(order) == [*range(count)]
    assert set(order[:2]) == {0, count - 1}


def test_the_best_student_is_that_of_any_method() -> None:
    assert best_of({"random": [FAST, WORSE], "searched": [MIDDLE]}) == 0.98


def test_a_summary_has_a_latency_where_all_seeds_have_one() -> None:
    first, second = (
        judge(rows, LATENCY, BYTES, TEACHERS, best=0.9) for rows in ([FAST, MIDDLE, SLOW], [FAST])
    )
    seeds = {
        name: dict.fromkeys(("searched", "random", "evolution", "hand-made"), row)
        for name, row in (("1", first), ("2", second))
    }
    found = summary(seeds)["random"]
    assert (found["latency of 98%"], found["latency of 98% of best"]) == (None, 0.5)
    assert found["volume"] == pytest.approx((first["volume"] + second["volume"]) / 2, abs=1e-4)
    sizes = (first["volume by bytes"], second["volume by bytes"])
    assert found["volume by bytes"] == pytest.approx(sum(sizes) / 2, abs=1e-4)
    assert found["sd by bytes"] == pytest.approx(abs(sizes[0] - sizes[1]) / 2**0.5, abs=1e-4)
    assert summary({"1": seeds["1"]})["searched"]["latency of 98%"] == 0.75
