import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.models.teachers import build_teacher
from adarec_tf.models.teachers.attention import SelfAttention, attention_bias

CONFIG = SASRecConfig(hidden_dim=8, num_blocks=2, num_heads=2, feed_forward_dim=16, dropout=0.2)


def _attention_reference(layer: SelfAttention, states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Causal attention of one history, query by query and head by head."""
    kernel, bias = (weight.numpy() for weight in layer.input_projection.weights)
    queries, keys, values = np.split(states @ kernel + bias, 3, axis=-1)
    size = layer.head_dim
    attended = np.zeros_like(states)
    for position in range(len(states)):
        visible = [p for p in range(position + 1) if mask[p]]
        for head in range(layer.num_heads):
            part = slice(head * size, (head + 1) * size)
            scores = np.array(
                [queries[position, part] @ keys[p, part] / np.sqrt(size) for p in visible]
            )
            if layer.num_distances:
                biases = layer.distance_bias.numpy()[head]
                scores += [biases[min(position - p, layer.num_distances - 1)] for p in visible]
            shares = np.exp(scores) / np.exp(scores).sum()
            attended[position, part] = sum(
                share * values[p, part] for share, p in zip(shares, visible, strict=True)
            )
    kernel, bias = (weight.numpy() for weight in layer.output_projection.weights)
    return attended @ kernel + bias


@pytest.mark.parametrize("num_distances", [0, 3, 6])
def test_attention_is_that_of_a_loop_over_queries(num_distances: int) -> None:
    generator = np.random.default_rng(1)
    states = generator.normal(size=(1, 6, 8)).astype(np.float32)
    mask = np.array([0, 0, 1, 1, 1, 1], np.float32)[None, :, None]
    layer = SelfAttention(num_heads=2, num_distances=num_distances)
    layer.build(states.shape)
    if num_distances:
        layer.distance_bias.assign(generator.normal(size=(2, num_distances)))
    actual = layer(tf.constant(states), attention_bias(tf.constant(mask), is_causal=True))
    expected = _attention_reference(layer, states[0][2:], mask[0, 2:, 0])
    np.testing.assert_allclose(actual[0, 2:], expected, rtol=1e-5, atol=1e-6)


def test_without_causality_every_item_is_attended_to_and_no_padding() -> None:
    mask = tf.constant([[[0.0], [1.0], [1.0]]])
    is_allowed = attention_bias(mask, is_causal=False).numpy()[0, 0] == 0
    np.testing.assert_array_equal(is_allowed, [[False, True, True]])  # whoever asks


def test_every_block_is_a_hidden_state_and_every_weight_has_a_gradient() -> None:
    model = build_teacher(CONFIG, 9, 6, seed=1)
    item_ids = tf.constant([[0, 0, 3, 5, 1, 9]], tf.int64)
    with tf.GradientTape() as tape:
        outputs = model(item_ids, training=True)
        target = tf.reduce_sum(outputs.final_states**3)
    assert [state.shape for state in outputs.hidden_states] == [(1, 6, 8)] * 2
    # As many distances as places.
    assert [block.attention.distance_bias.shape for block in model.blocks] == [(2, 6)] * 2
    gradients = tape.gradient(target, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.any(tf.convert_to_tensor(gradient).numpy() != 0), variable.path


def test_heads_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"`num_heads` should be a divisor of hidden_dim=8"):
        SASRecConfig(hidden_dim=8, num_heads=3)
