"""The leak tests, over every teacher, primitive and item table, a derived student, the supernet.

The supernet is compared bit by bit for every operation; on noise it trains what the students train.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.students import build_student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.models.students.primitives import PRIMITIVES, Primitive
from adarec_tf.models.teachers import TEACHERS, build_teacher
from adarec_tf.search.space.alphas import OPERATIONS, SampledArchitecture, fixed_architecture
from adarec_tf.search.space.supernet import Supernet
from tests.contracts import leaks

NUM_ITEMS = 16
LENGTH = 12
HIDDEN_DIM = 8
CONFIG = StudentConfig(hidden_dim=HIDDEN_DIM, num_cells=2, num_nodes=3, dropout=0.0)
MIXED = ("conv_3", "max_pool_3", "dilated_2_conv_3", "skip", "dilated_4_conv_5", "average_pool_3")


def _teacher(name: str) -> keras.Model:
    config = TEACHERS[name][0](name=name, hidden_dim=HIDDEN_DIM, num_blocks=2, dropout=0.0)
    model = build_teacher(config, NUM_ITEMS, LENGTH, seed=1)
    for variable in model.trainable_variables:  # a residual scale of zero would hide a leak
        if variable.name == "residual_scale":
            variable.assign(0.7)
    return model


def _student(*primitives: str, table_format: str = "float32", num_cells: int = 2) -> keras.Model:
    genotype = Genotype.from_primitives(3, [primitives] * num_cells)
    config = CONFIG.replace(precision=table_format, num_cells=num_cells)
    return build_student(genotype, config, NUM_ITEMS, LENGTH, seed=1)


MODELS: dict[str, Callable[[], keras.Model]] = {
    **{f"teacher-{name}": lambda name=name: _teacher(name) for name in TEACHERS},
    # One cell, in which the primitive stands three times in a row.
    **{
        f"primitive-{name}": lambda name=name: _student(*[name] * 6, num_cells=1)
        for name in PRIMITIVES
    },
    **{
        f"student-{name}": lambda name=name: _student(*MIXED, table_format=name)
        for name in StudentConfig.choices("precision")
    },
}


def _check(states: leaks.States) -> None:
    item_ids = leaks.example_histories(NUM_ITEMS, LENGTH)
    leaks.check_later_items_change_nothing(states, item_ids, NUM_ITEMS)
    leaks.check_left_padding_changes_nothing(states, item_ids)
    leaks.check_rows_are_independent(states, item_ids)


def test_every_primitive_is_declared_causal() -> None:
    assert all(primitive.is_causal for primitive in PRIMITIVES.values())


@pytest.mark.parametrize("name", MODELS)
def test_later_items_and_padding_change_nothing(name: str) -> None:
    _check(leaks.all_states(MODELS[name]()))


@pytest.mark.slow
def test_later_items_and_padding_change_nothing_in_the_supernet() -> None:
    keras.utils.set_random_seed(1)
    supernet = Supernet(CONFIG, NUM_ITEMS, LENGTH)
    supernet(tf.zeros([1, 1], tf.int64), fixed_architecture([0] * 6))

    @tf.function(
        input_signature=[tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([6], tf.int32)]
    )
    def states(item_ids: tf.Tensor, operations: tf.Tensor) -> tf.Tensor:
        outputs = supernet(item_ids, SampledArchitecture(operations), training=False)
        return tf.concat([*outputs.hidden_states, outputs.final_states], axis=-1)

    drawn = np.random.default_rng(5).integers(0, len(OPERATIONS), (4, 6))
    for operations in [*([index] * 6 for index in range(len(OPERATIONS))), *drawn]:
        chosen = tf.constant(operations, tf.int32)
        _check(lambda item_ids, chosen=chosen: states(tf.constant(item_ids), chosen).numpy())


def _noise_loss(model: keras.Model) -> float:
    optimizer = keras.optimizers.Adam(1e-2)
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function(reduce_retracing=True)
    def train_step(item_ids: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            states = model(item_ids, training=True).final_states
            logits = model.sequence_embedding.item_logits(tf.reshape(states, [-1, HIDDEN_DIM]))
            rows = tf.reshape(labels, [-1]) - 1
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(rows, logits))
        gradients = tape.gradient(
            loss,
            [v.value for v in variables],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        optimizer.apply(gradients, variables)
        return loss

    return leaks.uniform_noise_loss(
        train_step,
        num_items=NUM_ITEMS,
        length=LENGTH,
        num_steps=200,
        measured_steps=50,
        generator=np.random.default_rng(3),
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_loss_on_uniform_noise_stays_at_log_of_the_catalog(name: str) -> None:
    assert _noise_loss(MODELS[name]()) > math.log(NUM_ITEMS) - 0.01


@keras.saving.register_keras_serializable("tests")
class _CenteredConvolution(keras.layers.Layer):
    """What must not be in the search space: it sees the next position."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.convolution = keras.layers.Conv1D(HIDDEN_DIM, 3, padding="same")
        self.convolution.build(input_shape)

    def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        return self.convolution(states) * mask


CENTERED = Primitive(lambda kernel_format: _CenteredConvolution(), is_causal=False)


@pytest.mark.slow
def test_the_noise_test_finds_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIMITIVES, "conv_3", CENTERED)
    assert _noise_loss(MODELS["primitive-conv_3"]()) < math.log(NUM_ITEMS) - 0.2


def test_the_causality_test_finds_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIMITIVES, "conv_3", CENTERED)
    model = MODELS["primitive-conv_3"]()
    item_ids = leaks.example_histories(NUM_ITEMS, LENGTH)
    with pytest.raises(AssertionError):
        leaks.check_later_items_change_nothing(leaks.all_states(model), item_ids, NUM_ITEMS)
