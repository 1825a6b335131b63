"""No position may see the future, and padding may not be seen at all.

One checker for everything that maps item ids to states: teachers, students, the supernet, and a
student made of each primitive alone.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceOutputs

Model = Callable[..., SequenceOutputs]


States = Callable[[np.ndarray], np.ndarray]


def all_states(model: Model) -> States:
    """Compiles a model to [B, L] -> [B, L, layers x D]: every output of the contract."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def states(item_ids: tf.Tensor) -> tf.Tensor:
        outputs = model(item_ids, training=False)
        return tf.concat([outputs.embedding, *outputs.hidden_states, outputs.final_states], axis=-1)

    return lambda item_ids: states(tf.constant(item_ids)).numpy()


def check_later_items_change_nothing(states: States, item_ids: np.ndarray, num_items: int) -> None:
    """Changing the item at one position leaves all earlier outputs bit-equal."""
    before = states(item_ids)
    for position in range(1, item_ids.shape[1]):
        changed = item_ids.copy()
        changed[:, position] = changed[:, position] % num_items + 1
        after = states(changed)
        np.testing.assert_array_equal(after[:, :position], before[:, :position])
        assert np.any(after[:, position] != before[:, position])


def check_left_padding_changes_nothing(states: States, item_ids: np.ndarray) -> None:
    """Real positions are the same whatever number of PAD stands before them."""
    alone = states(item_ids)
    padded = np.pad(item_ids, [(0, 0), (5, 0)])
    with_padding = states(padded)
    np.testing.assert_allclose(with_padding[:, 5:], alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(with_padding[:, :5], 0.0)


def check_rows_are_independent(states: States, item_ids: np.ndarray) -> None:
    """A row's outputs do not depend on the other rows of the batch (no batch statistics)."""
    together = states(item_ids)
    for row in range(len(item_ids)):
        alone = states(item_ids[row : row + 1])
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-5, atol=1e-5)


def uniform_noise_loss(
    train_step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    *,
    num_items: int,
    length: int,
    num_steps: int,
    measured_steps: int,
    generator: np.random.Generator,
) -> float:
    """Mean loss of the last steps of a training on fresh i.i.d. uniform sequences.

    Nothing can be learnt from them: a loss clearly below log(num_items) means a label was seen.
    """
    losses: list[float] = []
    for _ in range(num_steps):
        items = generator.integers(1, num_items + 1, (64, length + 1))
        losses.append(float(train_step(tf.constant(items[:, :-1]), tf.constant(items[:, 1:]))))
    return float(np.mean(losses[-measured_steps:]))


def example_histories(num_items: int, length: int, num_rows: int = 3) -> np.ndarray:
    """int64 [num_rows, length] of random items, without PAD."""
    generator = np.random.default_rng(7)
    return generator.integers(1, num_items + 1, (num_rows, length))
