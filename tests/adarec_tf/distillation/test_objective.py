from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.teacher import NextItNetConfig
from adarec_tf.distillation.objective import DistillationObjective, ObjectiveValue
from adarec_tf.models.sequence_model import SequenceOutputs
from adarec_tf.models.teachers import build_teacher

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


def _value(progress: float = 0.0, **changes: Any) -> ObjectiveValue:
    objective = _objective(**changes)
    return objective(OUTPUTS, objective.teacher_states(ITEM_IDS, LABELS), LABELS, progress)


@pytest.mark.parametrize("term", ["embedding", "hidden", "logits"])
@pytest.mark.parametrize(
    ("schedule", "shares"), [("constant", [1, 1]), ("fall", [0.75, 0]), ("rise", [0.25, 1])]
)
def test_a_term_is_weighed_by_its_schedule(term: str, schedule: str, shares: list[float]) -> None:
    weights = {f"{name}_weight": 0.0 for name in ("embedding", "hidden", "logits")}
    weights[f"{term}_weight"] = 2.0
    for progress, share in zip((0.25, 1.0), shares, strict=True):
        value = _value(progress, kd_weight=0.75, **weights, **{f"{term}_schedule": schedule})
        expected = 0.25 * value.task + 0.75 * 2.0 * share * getattr(value.distillation, term)
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


@pytest.mark.parametrize(
    "changes",
    [{"mass_update": "none"}, {"hidden_mapping": "last"}, {"hidden_weight": 0.0}],
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


def test_the_best_items_alone_are_another_divergence_of_the_same_task() -> None:
    everything, best = _value(), _value(logits_items="top", num_top_items=3)
    assert float(best.task) == pytest.approx(float(everything.task), rel=1e-5)
    assert float(best.distillation.logits) != pytest.approx(
        float(everything.distillation.logits), rel=1e-2
    )


def test_a_sample_that_is_the_catalog_gives_the_same_objective() -> None:
    everything = _value()
    sampled = _value(logits_items="sampled", num_top_items=3, num_sampled_items=NUM_ITEMS)
    np.testing.assert_allclose(sampled.parts()["task"], everything.task, rtol=1e-5)
    np.testing.assert_allclose(sampled.total, everything.total, rtol=1e-5)
    # Each seed draws its own.
    objective = _objective(logits_items="sampled", num_top_items=1, num_sampled_items=4)
    teacher = objective.teacher_states(ITEM_IDS, LABELS)
    tasks = [float(objective(OUTPUTS, teacher, LABELS, seed=(1, n)).task) for n in (0, 0, 1, 2)]
    assert tasks[0] == tasks[1]
    assert len(set(tasks)) == 3
