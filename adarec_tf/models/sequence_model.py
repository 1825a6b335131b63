"""The one contract every sequence model keeps, and the parts all of them share.

A sequence model is a Keras model that maps item ids to `SequenceOutputs`, and that has an attribute
`sequence_embedding` (a `SequenceEmbedding`) whose item table is also its output layer. Teachers,
supernet and student meet only here: distillation, evaluation and export are written against this.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import keras
import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.models.item_tables import TableReader, TableSize, create_item_table
from adarec_tf.models.quantization import A_ROW, fake_quantize

# Room below every real score that stays finite, so that differences of masked scores are not NaN.
MASKED_SCORE = -1e9
# Axes of the weights of a kernel [taps, D_in, D_out] that share a scale.
_AN_OUTPUT_CHANNEL = (0, 1)


class SequenceOutputs(NamedTuple):
    """What a sequence model returns for item ids [B, L].

    Attributes:
      embedding: float32 [B, L, D], the embedded input; zero at PAD.
      hidden_states: float32 [B, L, D] for each layer, bottom to top; zero at PAD.
      final_states: float32 [B, L, D], what the item table is multiplied with; zero at PAD.
    """

    embedding: tf.Tensor
    hidden_states: tuple[tf.Tensor, ...]
    final_states: tf.Tensor


class SequenceModel(Protocol):
    """The contract, as a type: any Keras model of this shape can teach or be taught."""

    sequence_embedding: "SequenceEmbedding"
    trainable_variables: list[keras.Variable]
    variables: list[keras.Variable]

    def __call__(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids to the outputs of every layer.

        Args:
          item_ids: left-padded with 0.
          training: whether dropout is on.
        """


class LastStateEncoder(Protocol):
    """A model as it is served: histories to the states of their last items.

    Attributes:
      receptive_field: how many of the last items matter.
    """

    receptive_field: int

    def last_states(self, latest_ids: tf.Tensor, num_items: tf.Tensor) -> tf.Tensor:
        """Encodes the last items of histories.

        Args:
          latest_ids: int64 [B, receptive_field], the latest item first, then older ones, then PAD.
          num_items: int64 [B, 1], items of the history the model sees, older ones included.

        Returns:
          float32 [B, D], final states of the last position; of no meaning where there is no item.
        """


def real_positions(item_ids: tf.Tensor) -> tf.Tensor:
    """Marks the positions that hold an item.

    Args:
      item_ids: int [B, L].

    Returns:
      float32 [B, L, 1]: 1 at items, 0 at PAD.
    """
    return tf.cast(tf.not_equal(item_ids, PAD), tf.float32)[..., tf.newaxis]


@keras.saving.register_keras_serializable("adarec_tf")
class SequenceEmbedding(keras.layers.Layer):
    """Item embedding plus, if asked, a learned embedding of the item's place in its history.

    Places count real items from the oldest one in view, so neither padding nor the batch's length
    moves them, and a prefix of a history is embedded as it is in the longer one.

    Attributes:
      item_table: an `ItemTable`; its variables belong to this layer.
    """

    def __init__(
        self,
        num_items: int,
        hidden_dim: int,
        max_length: int,
        use_positions: bool = True,
        dropout: float = 0.0,
        has_mask: bool = False,
        item_table: str = "float32",
        **kwargs: object,
    ) -> None:
        """Creates the layer.

        Args:
          num_items: items of the catalog; ids are 1..num_items.
          hidden_dim: D.
          max_length: items of a history that the model sees.
          use_positions: whether an item's place is embedded as well.
          dropout: share of the embedded numbers that is dropped in training.
          has_mask: whether there is a row of `mask_id`, for models trained on masked items.
          item_table: format of the table: `float32`, `int8` or `int4`. Places, of which there are
            few, are int8 where it is not float32.
          **kwargs: of the Keras layer.
        """
        super().__init__(**kwargs)
        self.num_items = num_items
        self.hidden_dim = hidden_dim
        self.max_length = max_length
        self.use_positions = use_positions
        self.has_mask = has_mask
        self.dropout = keras.layers.Dropout(dropout)
        self.table_format = item_table
        size = TableSize(num_items, num_items + 1 + has_mask, hidden_dim)
        self.item_table = create_item_table(item_table, size)
        self._read_table: TableReader = self.item_table

    @property
    def has_rounded_places(self) -> bool:
        """Whether the place table is read, and served, as int8 with a scale a row."""
        return self.table_format != "float32"

    @property
    def mask_id(self) -> int:
        """What stands for a masked item: the id after the last item's."""
        return self.num_items + 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the item table (row 0 is PAD, the last may be the mask) and the place table."""
        del input_shape
        self.item_table.build(self.add_weight)
        if self.use_positions:
            self.position_table = self.add_weight(
                shape=(self.max_length, self.hidden_dim),
                initializer=keras.initializers.RandomNormal(stddev=0.1 * self.hidden_dim**-0.5),
                name="position_table",
            )

    def call(self, item_ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds item ids.

        Args:
          item_ids: int [B, L] in 0..num_items, or `mask_id` if there is a mask.
          training: whether dropout is on.

        Returns:
          float32 [B, L, D], zero at PAD.
        """
        mask = real_positions(item_ids)
        # Scaled so that states start at unit size while the tied output starts near uniform.
        places = tf.cumsum(tf.cast(mask[..., 0], tf.int32), axis=1) - 1
        states = self.embed_at(item_ids, places)
        return self.dropout(states, training=training) * mask

    def embed_at(self, item_ids: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Embeds items at given places of their histories.

        Args:
          item_ids: int [...].
          places: int32 [...], from 0; what is outside of the table counts as its nearest end.

        Returns:
          float32 [..., D].
        """
        states = self._read_table.rows(item_ids) * self.hidden_dim**0.5
        if self.use_positions:
            places = tf.clip_by_value(places, 0, self.max_length - 1)
            states += self._position_rows(places) * self.hidden_dim**0.5
        return states

    def _position_rows(self, places: tf.Tensor) -> tf.Tensor:
        rows = tf.gather(tf.convert_to_tensor(self.position_table), places)
        return fake_quantize(rows, A_ROW) if self.has_rounded_places else rows

    def item_logits(self, states: tf.Tensor) -> tf.Tensor:
        """Scores every item of the catalog with the tied item table.

        Args:
          states: float32 [N, D], final states.

        Returns:
          float32 [N, num_items]; column j is item j + 1: PAD is never a candidate.
        """
        return self._read_table.logits(states)

    def item_scores(self, states: tf.Tensor, item_ids: tf.Tensor) -> tf.Tensor:
        """Scores some items of the catalog with the tied item table.

        Args:
          states: float32 [N, D], final states.
          item_ids: int [N, C], or [1, C] for all states.

        Returns:
          float32 [N, C].
        """
        rows = self._read_table.rows(item_ids)
        return tf.matmul(rows, states[..., tf.newaxis])[..., 0]

    def item_rows(self, item_ids: tf.Tensor) -> tf.Tensor:
        """The rows of some items of the tied table: int [...] to float32 [..., D]."""
        return self._read_table.rows(item_ids)

    def item_vectors(self) -> tf.Tensor:
        """The items' rows of the tied table: float32 [num_items, D]; row j is item j + 1."""
        return self.item_table.items()

    @contextlib.contextmanager
    def serving_form(self) -> Iterator[TableReader]:
        """Within it, what is traced reads the table in the form, and the bytes, of serving.

        Values may be copies: a function traced here need not see later training. The reader that it
        gives owns what they are made of.
        """
        self._read_table = self.item_table.served()
        try:
            yield self._read_table
        finally:
            self._read_table = self.item_table

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_items": self.num_items,
            "hidden_dim": self.hidden_dim,
            "max_length": self.max_length,
            "use_positions": self.use_positions,
            "dropout": self.dropout.rate,
            "has_mask": self.has_mask,
            "item_table": self.table_format,
        }


@keras.saving.register_keras_serializable("adarec_tf")
class CausalConv1D(keras.layers.Layer):
    """Dilated convolution that sees the present and the past only.

    Written as one matrix product over the concatenated taps: the same sums as `keras.layers.Conv1D`
    with `padding="causal"`, which on a CPU goes through space-to-batch for dilations above 1.

    Args:
      filters: D_out.
      kernel_size: positions that it reads.
      dilation_rate: distance of these positions.
      kernel_format: `float32`, or `int8`: the kernel is rounded where it is read, with a scale an
        output channel.
      **kwargs: of the Keras layer.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        dilation_rate: int = 1,
        *,
        kernel_format: str = "float32",
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_format = kernel_format
        self.kernel_size = kernel_size
        self.dilation_rate = dilation_rate

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the kernel [kernel_size, D_in, filters] and the bias [filters]."""
        self.kernel = self.add_weight(
            shape=(self.kernel_size, int(input_shape[-1] or 0), self.filters),
            initializer="glorot_uniform",
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, states: tf.Tensor) -> tf.Tensor:
        """Convolves over positions.

        Args:
          states: float32 [B, L, D_in], zero at PAD (as before the start of the history).

        Returns:
          float32 [B, L, filters].
        """
        taps = causal_taps(states, self.kernel_size, self.dilation_rate)
        kernel = tf.convert_to_tensor(self.kernel)
        if self.kernel_format == "int8":
            kernel = fake_quantize(kernel, _AN_OUTPUT_CHANNEL)
        products = taps_product(taps, kernel)
        return products + tf.convert_to_tensor(self.bias)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "dilation_rate": self.dilation_rate,
            "kernel_format": self.kernel_format,
        }


def causal_taps(states: tf.Tensor, kernel_size: int, dilation_rate: int) -> list[tf.Tensor]:
    """The inputs of a causal window: the states `(kernel_size - 1 - i) * dilation_rate` steps back.

    Args:
      states: [B, L, D].
      kernel_size: number of taps.
      dilation_rate: steps between taps.

    Returns:
      `kernel_size` tensors [B, L, D], oldest first; zeros before the start.
    """
    reach = (kernel_size - 1) * dilation_rate
    padded = tf.pad(states, [[0, 0], [reach, 0], [0, 0]])
    size = tf.shape(states)
    # `tf.slice`, not `padded[:, a:b]`: the gradient of the latter took half of a training step.
    taps = [tf.slice(padded, [0, i * dilation_rate, 0], size) for i in range(kernel_size)]
    return [tf.ensure_shape(tap, states.shape) for tap in taps]


def taps_product(taps: list[tf.Tensor], kernel: tf.Tensor) -> tf.Tensor:
    """Sums the taps of a window, each multiplied by its matrix.

    Args:
      taps: K tensors [B, L, D_in].
      kernel: [K, D_in, D_out].

    Returns:
      [B, L, D_out].
    """
    filters = kernel.shape[-1]
    # One flat product: with batches kept apart, the kernel's gradient is [B, K D_in, D_out] large
    # before it is summed, which made a training step four times as slow.
    window = tf.concat(taps, axis=-1)
    flat = tf.reshape(window, [-1, window.shape[-1]])
    products = tf.matmul(flat, tf.reshape(kernel, [-1, filters]))
    size = tf.shape(window)
    return tf.ensure_shape(
        tf.reshape(products, [size[0], size[1], filters]), [*window.shape[:2], filters]
    )


def ordered_sum(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Sums tensors of one shape in their order.

    `tf.add_n` begins with whichever buffer it may overwrite, which depends on the timing of
    threads: the same inputs then differ in their last bit from call to call.
    """
    return tf.reduce_sum(tf.stack(list(tensors)), axis=0)
