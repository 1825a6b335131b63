import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adarec_tf.distillation.emd import (
    emd_loss,
    ground_distance,
    transport_plan,
    uniform_mass,
    uniform_plan,
    update_mass,
)
from tests.references.transport import (
    mean_kl,
    relative_squared_distance,
    transport_cost,
    updated_mass,
)

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 6))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    num_sources, num_targets = draw(SIZES)
    positive = st.floats(0.0625, 1.0, width=32)
    source = draw(hnp.arrays(np.float32, num_sources, elements=positive))
    target = draw(hnp.arrays(np.float32, num_targets, elements=positive))
    distance = draw(
        hnp.arrays(np.float32, (num_sources, num_targets), elements=st.floats(0, 5, width=32))
    )
    return source / source.sum(), target / target.sum(), distance


@settings(max_examples=50, deadline=None)
@given(problems())
def test_plan_has_the_masses_as_margins_and_the_optimal_cost(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    source, target, distance = problem
    plan = transport_plan(*map(tf.constant, problem)).numpy()
    np.testing.assert_allclose(plan.sum(axis=1), source, atol=1e-6)
    np.testing.assert_allclose(plan.sum(axis=0), target, atol=1e-6)
    assert plan.min() >= 0
    # The margins are made equal in float64, as the linear programme needs them.
    source64, target64 = source.astype(np.float64), target.astype(np.float64)
    expected = transport_cost(
        source64 / source64.sum(), target64 / target64.sum(), distance.astype(np.float64)
    )
    np.testing.assert_allclose(emd_loss(plan, distance).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_plan_by_hand() -> None:
    """As many layers on both sides, where a matrix or masses the wrong way round would still fit.

    (Two on each side are not enough: both plans of equal masses cost as much transposed.)
    """
    distance = tf.constant([[5.0, 0.0, 3.0], [4.0, 2.0, 0.0], [0.0, 1.0, 6.0]])
    plan = transport_plan(tf.constant([0.2, 0.3, 0.5]), tf.constant([0.5, 0.2, 0.3]), distance)
    np.testing.assert_allclose(plan, [[0, 0.2, 0], [0, 0, 0.3], [0.5, 0, 0]], atol=1e-6)
    plan = transport_plan(tf.constant([0.1, 0.3, 0.6]), tf.constant([0.5, 0.2, 0.3]), distance)
    np.testing.assert_allclose(plan, [[0, 0.1, 0], [0, 0, 0.3], [0.5, 0.1, 0]], atol=1e-6)


def test_gradient_of_the_loss_is_the_plan() -> None:
    distance = tf.Variable([[0.3, 2.0, 1.0], [1.5, 0.2, 0.4]])
    source, target = tf.constant([0.5, 0.5]), tf.constant([0.2, 0.5, 0.3])

    @tf.function
    def gradient() -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            plan = transport_plan(source, target, distance)
            loss = emd_loss(plan, distance)
        return tape.gradient(loss, distance), plan

    result, plan = gradient()
    np.testing.assert_allclose(result, plan, atol=1e-7)
    step = 1e-3
    for row in range(2):
        for column in range(3):
            shifted = [distance.numpy().astype(np.float64) for _ in range(2)]
            shifted[0][row, column] += step
            shifted[1][row, column] -= step
            higher, lower = (
                transport_cost(np.array([0.5, 0.5]), np.array([0.2, 0.5, 0.3]), moved)
                for moved in shifted
            )
            assert (higher - lower) / (2 * step) == pytest.approx(
                float(result[row, column]), abs=1e-5
            )


@pytest.mark.parametrize("argument", range(3))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_makes_the_plan_nan(argument: int, bad: float) -> None:
    arguments = [np.full(2, 0.5, np.float32), np.full(3, 1 / 3, np.float32), np.ones((2, 3))]
    arguments[argument].flat[0] = bad
    plan = transport_plan(*(tf.constant(x, tf.float32) for x in arguments))
    assert np.isnan(plan).all()


def test_nan_distances_give_a_nan_loss_in_every_later_step() -> None:
    # The loop names a loss that is not finite at the end of the epoch; no step may stop before.
    student_mass, teacher_mass = (tf.constant(uniform_mass(size)) for size in (2, 3))
    for _ in range(2):
        distance = tf.fill([2, 3], np.float32(np.nan))
        plan = transport_plan(student_mass, teacher_mass, distance)
        assert np.isnan(emd_loss(plan, distance))
        student_mass = update_mass(student_mass, tf.reduce_sum(plan * distance, axis=1))


@pytest.mark.parametrize(
    ("num_student_layers", "num_teacher_layers", "taught_by"),
    [
        (2, 4, [2, 4]),
        (3, 8, [3, 6, 8]),
        (1, 3, [3]),
        (2, 2, [1, 2]),
        (4, 2, [1, 1, 2, 2]),
    ],
)
def test_uniform_plan_by_hand(
    num_student_layers: int, num_teacher_layers: int, taught_by: list[int]
) -> None:
    plan = uniform_plan(num_student_layers, num_teacher_layers)
    assert (plan.shape, plan.dtype) == ((num_student_layers, num_teacher_layers), np.float32)
    expected = np.zeros(plan.shape)
    for student_layer, teacher_layer in enumerate(taught_by):
        expected[student_layer, teacher_layer - 1] = 1 / num_student_layers
    np.testing.assert_allclose(plan, expected, atol=1e-7)


REFERENCES = {
    "kl": mean_kl,
    "mse": relative_squared_distance,
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_ground_distance_matches_the_slow_one(kind: str, scale: float) -> None:
    generator = np.random.default_rng(0)
    student = generator.normal(size=(2, 5, 4)).astype(np.float32)
    teacher = (scale * generator.normal(size=(3, 5, 4))).astype(np.float32)
    distance = ground_distance(tf.constant(student), tf.constant(teacher), kind).numpy()
    expected = [[REFERENCES[kind](s, t) for t in teacher] for s in student]
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_layer_is_at_no_distance_from_itself(kind: str) -> None:
    states = tf.random.stateless_normal([2, 6, 4], [1, 2])
    distance = ground_distance(states, states, kind).numpy()
    np.testing.assert_allclose(np.diag(distance), 0.0, atol=1e-5)
    assert distance[0, 1] > 0.01


def test_the_cheaper_layer_gains_mass() -> None:
    costs = tf.constant([0.1, 0.2, 0.6])
    mass = update_mass(tf.constant(uniform_mass(3)), costs, momentum=0.5).numpy()
    assert mass[0] > mass[1] > mass[2] > 0
    assert mass.sum() == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.0, 1.0),
    hnp.arrays(np.float32, 3, elements=st.floats(0.0625, 1.0, width=32)),
    hnp.arrays(np.float32, (3, 3), elements=st.floats(0.0, 5.0, width=32)),
)
def test_masses_are_those_of_the_slow_update(
    momentum: float, mass: np.ndarray, costs: np.ndarray
) -> None:
    mass = mass / mass.sum()
    for cost in costs:
        updated = update_mass(tf.constant(mass), tf.constant(cost), momentum=momentum).numpy()
        expected = updated_mass(mass.tolist(), cost.tolist(), momentum)
        np.testing.assert_allclose(updated, expected, rtol=1e-4)
        assert min(expected) > 5e-4
        mass = updated


def test_full_momentum_keeps_the_mass() -> None:
    old = tf.constant([0.2, 0.8])
    new = update_mass(old, tf.constant([1.0, 0.0]), momentum=1.0)
    np.testing.assert_allclose(new, old, atol=1e-3)


def test_masses_do_not_depend_on_the_unit_of_the_distance() -> None:
    mass, cost = tf.constant(uniform_mass(2)), tf.constant([0.1, 0.3])
    np.testing.assert_allclose(
        update_mass(mass, cost, momentum=0.0),
        update_mass(mass, 1000 * cost, momentum=0.0),
        rtol=1e-5,
    )
