from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.distillation import objective as objective_module
from adarec_tf.distillation.objective import DistillationObjective, ObjectiveValue
from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.teachers import build_teacher
from tests.references.transport import mean_kl, transport_cost

NUM_ITEMS, LENGTH = 16, 8
CONFIG = DistillationConfig(hidden_weight=1.0)
ITEMS = np.random.default_rng(0).integers(1, NUM_ITEMS + 1, (4, 7))
ITEM_IDS, LABELS = tf.constant(ITEMS[:, :-1]), tf.constant(ITEMS[:, 1:])


def _model(hidden_dim: int, num_blocks: int) -> keras.Model:
    config = NextItNetConfig(hidden_dim=hidden_dim, num_blocks=num_blocks, dropout=0.0)
    return build_teacher(config, NUM_ITEMS, LENGTH, seed=num_blocks)


STUDENT, TEACHER = _model(6, 2), _model(10, 3)
OUTPUTS: SequenceOutputs = STUDENT(ITEM_IDS)
NUM_LAYERS = len(OUTPUTS.hidden_states)
NUM_TEACHER_LAYERS = len(TEACHER(ITEM_IDS).hidden_states)


def _objective(**changes: Any) -> DistillationObjective:
    keras.utils.set_random_seed(1)
    return DistillationObjective(
        STUDENT.sequence_embedding, NUM_LAYERS, TEACHER, CONFIG.replace(**changes)
    )


def _value(**changes: Any) -> ObjectiveValue:
    objective = _objective(**changes)
    return objective(OUTPUTS, objective.teacher_states(ITEM_IDS, LABELS), LABELS)


@pytest.mark.parametrize("term", ["embedding", "hidden", "logits"])
def test_a_term_counts_by_its_weight(term: str) -> None:
    weights = {f"{name}_weight": 0.0 for name in ("embedding", "hidden", "logits")}
    weights[f"{term}_weight"] = 2.0
    value = _value(kd_weight=0.75, **weights)
    expected = 0.25 * value.task + 0.75 * 2.0 * getattr(value.distillation, term)
    assert float(value.total) == pytest.approx(float(expected), rel=1e-5)
    assert float(getattr(value.distillation, term)) > 0


def test_a_term_without_weight_is_not_computed() -> None:
    nothing = {"embedding_weight": 0.0, "hidden_weight": 0.0, "logits_weight": 0.0}
    value = _value(**nothing)
    assert [float(loss) for loss in value.distillation] == [0.0, 0.0, 0.0]
    assert not np.any(value.plan)
    # Neither do its projections train.
    assert _objective(**nothing).trainable_variables == []
    assert len(_objective(embedding_weight=0.0).trainable_variables) == 2 * NUM_LAYERS
    assert float(value.task) == pytest.approx(float(_value().task), rel=1e-5)


@pytest.mark.parametrize("mapping", DistillationConfig.choices("hidden_mapping"))
def test_every_mapping_gives_a_plan_that_moves_all_mass(mapping: str) -> None:
    value = _value(hidden_mapping=mapping)
    plan = value.plan.numpy()
    assert plan.shape == (NUM_LAYERS, NUM_TEACHER_LAYERS)
    assert plan.sum() == pytest.approx(1.0, abs=1e-4)
    assert float(value.distillation.hidden) == pytest.approx(value.layer_costs.numpy().sum())


def test_mass_moves_from_the_students_layers_to_the_teachers_as_far_as_they_are_apart() -> None:
    """With as many layers on both sides, where what is the wrong way round would still fit."""
    teacher, student = _model(10, 3), _model(10, 3)
    generator = np.random.default_rng(1)
    for variable in teacher.trainable_variables:  # whose layers differ little at the start
        variable.assign_add(generator.normal(0, 1, variable.shape))
    taught = teacher(ITEM_IDS).hidden_states
    size = len(taught)
    # Each layer of the student says what the teacher's next one does.
    outputs = student(ITEM_IDS)._replace(hidden_states=(*taught[1:], taught[0]))
    objective = DistillationObjective(student.sequence_embedding, size, teacher, CONFIG)
    _, *projections = objective.projections
    for projection in projections:
        projection.kernel.assign(np.eye(10) + 0.1 * projection.kernel)
    masses = (np.arange(1.0, size + 1)[::-1], np.arange(1.0, size + 1) ** 2)
    masses = tuple(mass / mass.sum() for mass in masses)
    objective.student_mass.assign(masses[0])
    objective.teacher_mass.assign(masses[1])
    value = objective(outputs, objective.teacher_states(ITEM_IDS, LABELS), LABELS)
    np.testing.assert_allclose(tf.reduce_sum(value.plan, axis=1), masses[0], atol=1e-6)
    np.testing.assert_allclose(tf.reduce_sum(value.plan, axis=0), masses[1], atol=1e-6)

    def flat(states: tf.Tensor) -> np.ndarray:
        return states.numpy().reshape(-1, states.shape[-1])

    projected = [
        flat(projection(states))
        for projection, states in zip(projections, outputs.hidden_states, strict=True)
    ]
    distance = np.array([[mean_kl(s, t) for t in map(flat, taught)] for s in projected])
    np.testing.assert_allclose(value.layer_costs, value.plan * distance, rtol=1e-4, atol=1e-6)
    cheapest = transport_cost(*masses, distance)
    assert float(value.distillation.hidden) == pytest.approx(cheapest, rel=1e-4)
    assert transport_cost(*masses, distance.T) != pytest.approx(cheapest, rel=0.05)


@pytest.mark.parametrize(
    "changes",
    [{"hidden_mapping": "uniform"}, {"hidden_weight": 0.0}],
)
def test_masses_stay_where_nothing_should_move_them(changes: dict[str, Any]) -> None:
    objective = _objective(**changes)
    costs = tf.reshape(
        tf.range(1.0, NUM_LAYERS * NUM_TEACHER_LAYERS + 1), [NUM_LAYERS, NUM_TEACHER_LAYERS]
    )
    for mass, updated in zip(
        (objective.student_mass, objective.teacher_mass),
        objective.updated_masses(costs),
        strict=True,
    ):
        np.testing.assert_allclose(updated, mass.numpy(), atol=1e-6)
    student_mass, _ = _objective().updated_masses(costs)
    # Unlike where they do move: the first layer paid least.
    assert student_mass[0] > student_mass[-1]


def test_the_numbers_of_the_catalog_logits_are_of_the_type_asked_for() -> None:
    keras.utils.set_random_seed(1)
    objective = DistillationObjective(
        STUDENT.sequence_embedding, NUM_LAYERS, TEACHER, CONFIG, "bfloat16"
    )
    low = objective(OUTPUTS, objective.teacher_states(ITEM_IDS, LABELS), LABELS)
    assert float(low.task) == pytest.approx(float(_value().task), rel=1e-2)
    assert float(low.task) != float(_value().task)


def test_a_sample_that_is_the_catalog_gives_the_same_objective(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everything = _value()
    sampled = _value(logits_items="sampled")
    np.testing.assert_allclose(sampled.parts()["task"], everything.task, rtol=1e-5)
    np.testing.assert_allclose(sampled.total, everything.total, rtol=1e-5)
    # Each seed draws its own.
    monkeypatch.setattr(objective_module, "NUM_SAMPLED_ITEMS", 4)
    monkeypatch.setattr(DistillationConfig, "num_kept_items", 1)
    objective = _objective(logits_items="sampled")
    teacher = objective.teacher_states(ITEM_IDS, LABELS)
    tasks = [float(objective(OUTPUTS, teacher, LABELS, seed=(1, n)).task) for n in (0, 0, 1, 2)]
    assert tasks[0] == tasks[1]
    assert len(set(tasks)) == 3
