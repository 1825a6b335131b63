"""The smallest sequence model and hand-made histories, for tests of what uses any model."""

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories
from adarec_tf.models.sequence_model import (
    CausalConv1D,
    SequenceEmbedding,
    SequenceOutputs,
    real_positions,
)

HIDDEN_DIM = 6
KERNEL_SIZE = 3


class ConvolutionModel(keras.Model):
    """One causal convolution: keeps the contract of sequence models, and has dropout."""

    def __init__(self, num_items: int, max_length: int) -> None:
        super().__init__()
        self.sequence_embedding = SequenceEmbedding(num_items, HIDDEN_DIM, max_length, dropout=0.5)
        self.convolution = CausalConv1D(HIDDEN_DIM, KERNEL_SIZE)
        self.dropout = keras.layers.Dropout(0.5)

    def call(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        states = self.sequence_embedding(item_ids, training=training)
        final_states = self.dropout(self.convolution(states), training=training)
        final_states *= real_positions(item_ids)
        return SequenceOutputs(states, (final_states,), final_states)


def build_convolution_model(num_items: int, max_length: int) -> ConvolutionModel:
    model = ConvolutionModel(num_items, max_length)
    model(tf.constant([[0, 1]], tf.int64))
    return model


def make_histories(histories: list[list[int]], targets: list[int] | None = None) -> Histories:
    return Histories(
        np.array([b"u%d" % user for user in range(len(histories))], object),
        np.array([item for history in histories for item in history], np.int64),
        np.cumsum([0, *(len(history) for history in histories)]),
        np.array(targets or [0] * len(histories), np.int64),
    )
