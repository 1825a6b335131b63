"""The network that holds every operation on every edge, and computes the one that was drawn."""

import functools

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.student import StudentConfig
from adarec_tf.models.sequence_model import (
    SequenceEmbedding,
    SequenceOutputs,
    ordered_sum,
    real_positions,
    taps_product,
)
from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.models.students.norm import ChannelNorm, channel_moments
from adarec_tf.models.students.primitives import PRIMITIVES
from adarec_tf.models.students.student import CellOutput
from adarec_tf.search.space.alphas import OPERATIONS, SampledArchitecture

_CONVOLUTIONS = [name for name in OPERATIONS if PRIMITIVES[name].kernel_size > 0]
_WEIGHTLESS = [name for name in OPERATIONS if PRIMITIVES[name].kernel_size == 0]
_KERNEL_SIZES = np.array([PRIMITIVES[name].kernel_size for name in _CONVOLUTIONS])
_NUM_TAPS = int(_KERNEL_SIZES.max())
# [C, taps]: a kernel of fewer taps uses the newest ones.
_IS_TAP = np.arange(_NUM_TAPS) >= _NUM_TAPS - _KERNEL_SIZES[:, np.newaxis]
_DILATIONS = np.array([PRIMITIVES[name].dilation_rate for name in _CONVOLUTIONS], np.int32)
_NORM_EPSILON = 1e-6
# Of each operation: the branch, which is 0 for all convolutions, and the place in their stack.
_BRANCHES = np.array(
    [_WEIGHTLESS.index(o) + 1 if o in _WEIGHTLESS else 0 for o in OPERATIONS], np.int32
)
_CONVOLUTION_OF = np.array(
    [0 if o in _WEIGHTLESS else _CONVOLUTIONS.index(o) for o in OPERATIONS], np.int32
)


class MixedOp(keras.layers.Layer):
    """All operations of one edge, of which one is computed.

    The released code runs all ten. Here the convolutions keep their weights in one stack, from
    which the one drawn is gathered. Stacks also keep the graph small, which takes long to trace.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the stacks: kernels [C, taps, D, D], oldest tap first; vectors [C, D]."""
        hidden_dim = int(input_shape[-1] or 0)
        vectors = (len(_CONVOLUTIONS), hidden_dim)
        self.kernels = self.add_weight(
            shape=(len(_CONVOLUTIONS), _NUM_TAPS, hidden_dim, hidden_dim),
            initializer=_stacked_glorot_uniform,
            name="kernels",
        )
        self.biases = self.add_weight(shape=vectors, initializer="zeros", name="biases")
        self.norm_scales = self.add_weight(shape=vectors, initializer="ones", name="norm_scales")
        self.norm_offsets = self.add_weight(shape=vectors, initializer="zeros", name="norm_offsets")

    def call(self, states: tf.Tensor, mask: tf.Tensor, operation: tf.Tensor) -> tf.Tensor:
        """Applies the operation that was drawn.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1].
          operation: int32 scalar, in `OPERATIONS`.
        """
        stacks = (self.kernels, self.biases, self.norm_scales, self.norm_offsets)
        return _mixed(states, mask, operation, *map(tf.convert_to_tensor, stacks))

    def convolution_weights(self, name: str) -> list[tf.Tensor]:
        """Kernel [taps, D, D], bias [D], scale and offset of the norm [D] of one convolution."""
        index = _CONVOLUTIONS.index(name)
        num_unused = _NUM_TAPS - PRIMITIVES[name].kernel_size
        vectors = (self.biases, self.norm_scales, self.norm_offsets)
        return [self.kernels[index][num_unused:], *(vector[index] for vector in vectors)]


@tf.function(autograph=False)
def _mixed(
    states: tf.Tensor,
    mask: tf.Tensor,
    operation: tf.Tensor,
    kernels: tf.Tensor,
    biases: tf.Tensor,
    scales: tf.Tensor,
    offsets: tf.Tensor,
) -> tf.Tensor:
    """What `MixedOp` computes: a function of its own, which is traced once for all edges."""

    def convolve() -> tf.Tensor:
        index = tf.gather(_CONVOLUTION_OF, operation)
        masks = _IS_TAP[..., np.newaxis, np.newaxis].astype(np.float32)
        taps = _dilated_taps(states, tf.gather(_DILATIONS, index))
        products = taps_product(taps, tf.gather(kernels * masks, index)) + tf.gather(biases, index)
        mean, variance = channel_moments(products)
        return tf.nn.relu(
            tf.nn.batch_normalization(
                products,
                mean,
                variance,
                offset=tf.gather(offsets, index),
                scale=tf.gather(scales, index),
                variance_epsilon=_NORM_EPSILON,
            )
        )

    branches = [functools.partial(layer, states, mask) for layer in _weightless_layers()]
    return tf.switch_case(tf.gather(_BRANCHES, operation), [convolve, *branches]) * mask


@functools.cache
def _weightless_layers() -> list[keras.layers.Layer]:
    return [PRIMITIVES[name].build("float32") for name in _WEIGHTLESS]


def _dilated_taps(states: tf.Tensor, dilation_rate: tf.Tensor) -> list[tf.Tensor]:
    """As `causal_taps`, for a dilation known only when the graph runs."""
    reach = (_NUM_TAPS - 1) * int(_DILATIONS.max())
    padded = tf.pad(states, [[0, 0], [reach, 0], [0, 0]])
    starts = [reach - (_NUM_TAPS - 1 - tap) * dilation_rate for tap in range(_NUM_TAPS)]
    size = tf.shape(states)
    return [
        tf.ensure_shape(tf.slice(padded, [0, start, 0], size), states.shape) for start in starts
    ]


def _stacked_glorot_uniform(shape: tuple[int, ...], dtype: str) -> tf.Tensor:
    """Each kernel [taps, D, D] as if it were drawn alone, by the number of taps it uses."""
    kernels = []
    for num_taps in _KERNEL_SIZES.tolist():
        # A new one each time: an initializer draws the same values whenever it is called.
        drawn = keras.initializers.GlorotUniform()((num_taps, *shape[2:]), dtype)
        kernels.append(tf.pad(drawn, [[shape[1] - num_taps, 0], [0, 0], [0, 0]]))
    return tf.stack(kernels)


class SearchCell(keras.layers.Layer):
    """A cell with a `MixedOp` on every edge.

    Args:
      num_nodes: intermediate nodes.
      dropout: share of the numbers dropped in training.
    """

    def __init__(self, num_nodes: int, dropout: float) -> None:
        super().__init__()
        self.ends = edge_ends(num_nodes)
        self.num_nodes = num_nodes
        self.edges = [MixedOp() for _ in self.ends]
        self.combine = CellOutput(num_nodes, dropout)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights of every edge."""
        for edge in self.edges:
            edge.build(input_shape)
        self.combine.build(input_shape)

    def call(
        self,
        states: tf.Tensor,
        mask: tf.Tensor,
        operations: list[tf.Tensor],
        training: bool = False,
    ) -> tf.Tensor:
        """Computes one operation on every edge.

        Args:
          states: float32 [B, L, D].
          mask: float32 [B, L, 1].
          operations: int32 scalars, one an edge.
          training: whether dropout is on.
        """
        nodes = [states]
        for target in range(1, self.num_nodes + 1):
            terms = [
                edge(nodes[source], mask, operation)
                for edge, (source, end), operation in zip(
                    self.edges, self.ends, operations, strict=True
                )
                if end == target
            ]
            nodes.append(ordered_sum(terms))
        return self.combine(states, nodes[1:], mask, training=training)


class Supernet(keras.Model):
    """Every student of the search space in one set of weights; alphas are kept outside it."""

    def __init__(
        self, config: StudentConfig, num_items: int, max_length: int, *, num_optional: int = 0
    ) -> None:
        """Creates the layers.

        Args:
          config: of the students.
          num_items: of the catalog.
          max_length: items of a history.
          num_optional: how many of the topmost cells an architecture may leave out.
        """
        super().__init__()
        self._num_optional = num_optional
        self.sequence_embedding = SequenceEmbedding(
            num_items,
            config.hidden_dim,
            max_length,
            dropout=config.dropout,
            item_table=config.precision,
        )
        self.cells = [SearchCell(config.num_nodes, config.dropout) for _ in range(config.num_cells)]
        self.final_norm = ChannelNorm(epsilon=1e-6)

    def call(
        self, item_ids: tf.Tensor, architecture: SampledArchitecture, training: bool = False
    ) -> SequenceOutputs:
        """Computes one student.

        Args:
          item_ids: int [B, L].
          architecture: operations of one cell, for all of them, or of every cell; and the depth.
          training: whether dropout is on.

        Returns:
          Its outputs; see `SequenceOutputs`. A cell that is left out is not computed, and its
          hidden states are those of the cell below.
        """
        embedding = self.sequence_embedding(item_ids, training=training)
        return self._outputs(embedding, real_positions(item_ids), architecture, training)

    def last_states(
        self, item_ids: tf.Tensor, architecture: SampledArchitecture, receptive_field: tf.Tensor
    ) -> tf.Tensor:
        """Computes one student, at the positions that the state of the last item depends on.

        Args:
          item_ids: int [B, L].
          architecture: as in `call`.
          receptive_field: int32 scalar, that of its genotype.

        Returns:
          float32 [B, D], its final states at the last position.
        """
        embedding = self.sequence_embedding(item_ids)[:, -receptive_field:]
        mask = real_positions(item_ids[:, -receptive_field:])
        return self._outputs(embedding, mask, architecture, training=False).final_states[:, -1]

    def _outputs(
        self,
        embedding: tf.Tensor,
        mask: tf.Tensor,
        architecture: SampledArchitecture,
        training: bool,
    ) -> SequenceOutputs:
        states = embedding
        num_there = len(self.cells) - architecture.num_absent
        num_required = len(self.cells) - self._num_optional
        hidden_states = []
        of_cells = self._operations_of_cells(architecture.operations)
        for index, (cell, operations) in enumerate(zip(self.cells, of_cells, strict=True)):
            compute = functools.partial(cell.__call__, states, mask, operations, training=training)
            if index < num_required:
                states = compute()
            else:
                absent = functools.partial(tf.identity, states)
                states = tf.cond(tf.less(index, num_there), compute, absent)
            hidden_states.append(states)
        return SequenceOutputs(embedding, tuple(hidden_states), self.final_norm(states) * mask)

    def _operations_of_cells(self, operations: tf.Tensor) -> list[list[tf.Tensor]]:
        """The operation on every edge of every cell, int32 scalars."""
        num_edges = len(self.cells[0].ends)
        num_rows = len(self.cells) * num_edges
        # Operations of one cell or of all: a compiled step may be given either, and sees it late.
        repeats = num_rows // tf.shape(operations)[0]
        indices = tf.unstack(tf.tile(operations, [repeats]), num=num_rows)
        return [indices[start : start + num_edges] for start in range(0, num_rows, num_edges)]
