from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adarec_tf.distillation.emd import (
    emd_loss,
    fixed_plan,
    ground_distance,
    sinkhorn_plan,
    transport_plan,
    uniform_mass,
    update_mass,
)
from tests.references.transport import (
    mean_cosine_distance,
    mean_kl,
    relative_squared_distance,
    transport_cost,
)

PlanOf = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
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
    plan = transport_plan(
        tf.constant([0.5, 0.5]), tf.constant([0.25, 0.75]), tf.constant([[0.0, 1.0], [1.0, 0.0]])
    )
    np.testing.assert_allclose(plan, [[0.25, 0.25], [0.0, 0.5]], atol=1e-6)


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


def random_batch(
    num_problems: int, num_sources: int, num_targets: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(3)
    return (
        tf.constant(generator.dirichlet(np.full(num_sources, 3.0), num_problems), tf.float32),
        tf.constant(generator.dirichlet(np.full(num_targets, 3.0), num_problems), tf.float32),
        tf.constant(generator.uniform(0, 2, (num_problems, num_sources, num_targets)), tf.float32),
    )


def entropic_plan(
    source: tf.Tensor,
    target: tf.Tensor,
    distance: tf.Tensor,
    regularization: float = 0.05,
    num_iterations: int = 50,
) -> tf.Tensor:
    return sinkhorn_plan(
        source,
        target,
        distance,
        regularization=regularization,
        num_iterations=num_iterations,
    )


@pytest.mark.parametrize("plan_of", [transport_plan, entropic_plan])
def test_a_batch_of_plans_is_the_plans_of_its_problems(plan_of: PlanOf) -> None:
    sources, targets, distances = random_batch(4, 3, 5)

    @tf.function
    def plans_of(*problems: tf.Tensor) -> tf.Tensor:
        return plan_of(*problems)

    one_by_one = [plan_of(*problem) for problem in zip(sources, targets, distances, strict=True)]
    np.testing.assert_allclose(plans_of(sources, targets, distances), one_by_one, atol=1e-6)
    same_masses = [plan_of(sources[0], targets[0], distance) for distance in distances]
    np.testing.assert_allclose(plans_of(sources[0], targets[0], distances), same_masses, atol=1e-6)


@pytest.mark.parametrize("plan_of", [transport_plan, entropic_plan])
@pytest.mark.parametrize("argument", range(3))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_makes_its_own_plan_nan(
    plan_of: PlanOf, argument: int, bad: float
) -> None:
    arguments = [x.numpy() for x in random_batch(3, 2, 4)]
    arguments[argument][1].flat[0] = bad
    plans = plan_of(*map(tf.constant, arguments)).numpy()
    assert np.isnan(plans[1]).all()
    np.testing.assert_allclose(plans[[0, 2]].sum(axis=(1, 2)), 1.0, atol=1e-5)


def test_nan_distances_give_a_nan_loss_in_every_later_step() -> None:
    # The loop names a loss that is not finite at the end of the epoch; no step may stop before.
    student_mass, teacher_mass = (tf.constant(uniform_mass(size)) for size in (2, 3))
    for _ in range(2):
        distance = tf.fill([2, 3], np.float32(np.nan))
        plan = transport_plan(student_mass, teacher_mass, distance)
        assert np.isnan(emd_loss(plan, distance))
        student_mass = update_mass(
            student_mass,
            tf.reduce_sum(plan * distance, axis=1),
            kind="softmax",
            temperature=1.0,
            momentum=0.9,
        )


@settings(max_examples=50, deadline=None)
@given(problems(), st.sampled_from([0.01, 0.1, 1.0]), st.integers(1, 20))
def test_entropic_plan_has_the_masses_as_margins(
    problem: tuple[np.ndarray, np.ndarray, np.ndarray], regularization: float, iterations: int
) -> None:
    source, target, _ = problem
    plan = entropic_plan(*map(tf.constant, problem), regularization, iterations).numpy()
    np.testing.assert_allclose(plan.sum(axis=1), source, atol=1e-4)
    np.testing.assert_allclose(plan.sum(axis=0), target, atol=1e-4)
    assert plan.min() >= 0


@pytest.mark.parametrize("shape", [(2, 2), (4, 8), (4, 16)])
def test_entropic_cost_falls_to_the_optimum_with_the_regularization(shape: tuple[int, int]) -> None:
    sources, targets, distances = random_batch(20, *shape)
    exact = transport_cost_of(transport_plan(sources, targets, distances), distances)
    excess = [
        transport_cost_of(entropic_plan(sources, targets, distances, value, 500), distances) / exact
        - 1
        for value in (0.5, 0.2, 0.05, 0.01)
    ]
    assert np.all(np.diff(excess) < 0)
    assert excess[-2] < 0.01
    assert -1e-4 < excess[-1] < 0.005
    few_iterations = entropic_plan(sources, targets, distances, 0.05, 50)
    assert transport_cost_of(few_iterations, distances) < 1.02 * exact


def transport_cost_of(plans: tf.Tensor, distances: tf.Tensor) -> float:
    return float(tf.reduce_mean(tf.reduce_sum(plans * distances, axis=[1, 2])))


def test_entropic_plan_does_not_depend_on_the_unit_of_the_distance() -> None:
    source, target, distance = random_batch(1, 3, 5)
    np.testing.assert_allclose(
        entropic_plan(source, target, 1000 * distance),
        entropic_plan(source, target, distance),
        atol=1e-5,
    )


def test_entropic_plan_at_no_distance_is_the_product_of_the_masses() -> None:
    source, target = tf.constant([0.25, 0.75]), tf.constant([0.5, 0.2, 0.3])
    plan = entropic_plan(source, target, tf.zeros([2, 3]))
    np.testing.assert_allclose(plan, np.outer(source, target), atol=1e-6)


def test_entropic_plan_is_the_same_compiled_and_a_constant_for_gradients() -> None:
    source, target, distance = random_batch(2, 4, 8)

    @tf.function(jit_compile=True)
    def compiled(distance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(distance)
            plan = entropic_plan(source, target, distance)
            loss = emd_loss(plan, distance)
        return plan, tape.gradient(loss, distance)

    plan, gradient = compiled(distance)
    np.testing.assert_allclose(plan, entropic_plan(source, target, distance), atol=1e-5)
    np.testing.assert_allclose(gradient, plan, atol=1e-7)


@pytest.mark.parametrize(
    ("kind", "num_student_layers", "num_teacher_layers", "taught_by"),
    [
        ("first", 2, 4, [1, 2]),
        ("last", 2, 4, [3, 4]),
        ("uniform", 2, 4, [2, 4]),
        ("uniform", 3, 8, [3, 6, 8]),
        ("first", 1, 3, [1]),
        ("last", 1, 3, [3]),
        ("uniform", 1, 3, [3]),
        ("first", 2, 2, [1, 2]),
        ("last", 2, 2, [1, 2]),
        ("uniform", 2, 2, [1, 2]),
        ("first", 4, 2, [1, 2, 2, 2]),
        ("last", 4, 2, [1, 1, 1, 2]),
        ("uniform", 4, 2, [1, 1, 2, 2]),
    ],
)
def test_fixed_plan_by_hand(
    kind: str, num_student_layers: int, num_teacher_layers: int, taught_by: list[int]
) -> None:
    plan = fixed_plan(kind, num_student_layers, num_teacher_layers)
    assert (plan.shape, plan.dtype) == ((num_student_layers, num_teacher_layers), np.float32)
    expected = np.zeros(plan.shape)
    for student_layer, teacher_layer in enumerate(taught_by):
        expected[student_layer, teacher_layer - 1] = 1 / num_student_layers
    np.testing.assert_allclose(plan, expected, atol=1e-7)


def test_an_unknown_fixed_plan_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"first, last, uniform.*emd"):
        fixed_plan("emd", 2, 2)


REFERENCES = {
    "kl": mean_kl,
    "mse": relative_squared_distance,
    "cosine": mean_cosine_distance,
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


def test_cosine_distance_ignores_the_size_of_each_state() -> None:
    student = tf.random.stateless_normal([2, 6, 4], [1, 2])
    teacher = tf.random.stateless_normal([3, 6, 4], [3, 4])
    sizes = tf.random.stateless_uniform([2, 6, 1], [5, 6], 0.1, 10.0)
    np.testing.assert_allclose(
        ground_distance(sizes * student, teacher, "cosine"),
        ground_distance(student, teacher, "cosine"),
        atol=1e-5,
    )


def test_cosine_distance_and_gradient_of_a_zero_state_are_finite() -> None:
    student = tf.Variable(tf.zeros([1, 2, 4]))
    with tf.GradientTape() as tape:
        distance = ground_distance(student, tf.ones([1, 2, 4]), "cosine")
    np.testing.assert_allclose(distance, [[1.0]], atol=1e-6)
    assert np.isfinite(tape.gradient(distance, student)).all()


@pytest.mark.parametrize("kind", REFERENCES)
def test_a_layer_is_at_no_distance_from_itself(kind: str) -> None:
    states = tf.random.stateless_normal([2, 6, 4], [1, 2])
    distance = ground_distance(states, states, kind).numpy()
    np.testing.assert_allclose(np.diag(distance), 0.0, atol=1e-5)
    assert distance[0, 1] > 0.01


@pytest.mark.parametrize("kind", ["softmax", "normalize"])
def test_the_cheaper_layer_gains_mass(kind: str) -> None:
    mass = update_mass(
        tf.constant(uniform_mass(3)),
        tf.constant([0.1, 0.2, 0.6]),
        kind=kind,
        temperature=1.0,
        momentum=0.5,
    ).numpy()
    assert mass[0] > mass[1] > mass[2] > 0
    assert mass.sum() == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.01, 10.0),
    st.floats(0.0, 1.0),
    st.sampled_from(["softmax", "normalize"]),
    hnp.arrays(np.float32, 3, elements=st.floats(0.0, 5.0, width=32)),
)
def test_masses_stay_positive_and_sum_to_one(
    temperature: float, momentum: float, kind: str, cost: np.ndarray
) -> None:
    mass = tf.constant(uniform_mass(3))
    for _ in range(3):
        mass = update_mass(
            mass, tf.constant(cost), kind=kind, temperature=temperature, momentum=momentum
        )
        assert float(tf.reduce_min(mass)) > 5e-4
        assert float(tf.reduce_sum(mass)) == pytest.approx(1.0, abs=1e-5)


def test_full_momentum_keeps_the_mass() -> None:
    old = tf.constant([0.2, 0.8])
    new = update_mass(old, tf.constant([1.0, 0.0]), kind="softmax", temperature=1.0, momentum=1.0)
    np.testing.assert_allclose(new, old, atol=1e-3)


def test_masses_do_not_depend_on_the_unit_of_the_distance() -> None:
    arguments = {"kind": "softmax", "temperature": 1.0, "momentum": 0.0}
    mass, cost = tf.constant(uniform_mass(2)), tf.constant([0.1, 0.3])
    np.testing.assert_allclose(
        update_mass(mass, cost, **arguments), update_mass(mass, 1000 * cost, **arguments), rtol=1e-5
    )


def test_masses_that_are_not_updated_stay_whatever_was_paid() -> None:
    old = tf.Variable([0.2, 0.8])
    new = update_mass(old, tf.constant([5.0, np.nan]), kind="none", temperature=1.0, momentum=0.0)
    old.assign([0.5, 0.5])
    np.testing.assert_array_equal(new, np.float32([0.2, 0.8]))
