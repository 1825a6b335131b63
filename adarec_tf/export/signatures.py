"""The served function: raw item keys in, recommended item keys out, all of it TensorFlow graph.

A client needs no vocabulary, no padding rule and no code of this package.
"""

from typing import NamedTuple

import tensorflow as tf

from adarec_tf.sequence_model import PAD, SequenceModel

SIGNATURE = "serving_default"


class ServedModel(NamedTuple):
    """What `tf.saved_model.save` is given.

    Attributes:
      module: owns the lookup tables and exactly the variables the function reads: no optimiser,
        no seeds of dropout, no layer that only training uses.
      recommend: the traced function, see `build_served_model`.
    """

    module: tf.Module
    recommend: tf.types.experimental.ConcreteFunction


def build_served_model(
    model: SequenceModel, vocabulary_path: str, *, max_length: int
) -> ServedModel:
    """Traces `recommend(history, k, exclude_seen)` around a model.

    Inputs: `history` string [B, N], raw item keys, oldest first, "" and unknown keys anywhere are
    dropped; `k` int32 [], positive; `exclude_seen` bool [], whether items of the given history
    (all of it, not only what the model sees) are no candidates.

    Outputs: `item_ids` string [B, K] and `scores` float32 [B, K], best first, where K is k or the
    size of the catalogue if that is less. Slots without a candidate come last: "" and -inf.

    A history without a known item gets the order of the vocabulary, which is that of popularity,
    with equal scores.

    Args:
      model: the sequence model.
      vocabulary_path: its vocabulary, one raw item key a line in id order; becomes an asset.
      max_length: items of a history the model sees.
    """
    module = tf.Module()
    # Both tables read the one asset, so the keys are in the bundle once.
    module.item_lines = _lookup_table(vocabulary_path, is_key_to_line=True)
    module.item_keys = _lookup_table(vocabulary_path, is_key_to_line=False)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, name="history"),
            tf.TensorSpec([], tf.int32, name="k"),
            tf.TensorSpec([], tf.bool, name="exclude_seen"),
        ]
    )
    def recommend(
        history: tf.Tensor, k: tf.Tensor, exclude_seen: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        tf.debugging.assert_positive(k, "`k` should be a positive integer")
        item_ids = module.item_lines.lookup(history) + 1  # a key without a line becomes PAD
        scores = _last_scores(model, recent_items(item_ids, max_length))
        scores = tf.cond(exclude_seen, lambda: exclude_items(scores, item_ids), lambda: scores)
        best = tf.math.top_k(scores, tf.minimum(k, model.sequence_embedding.num_items))
        keys = module.item_keys.lookup(tf.cast(best.indices, tf.int64))
        is_candidate = best.values > -float("inf")
        return {"item_ids": tf.where(is_candidate, keys, ""), "scores": best.values}

    with model.sequence_embedding.serving_form():
        traced = recommend.get_concrete_function()
        module.model_variables = list(traced.graph.variables)
    return ServedModel(module, traced)


def recent_items(item_ids: tf.Tensor, max_length: int) -> tf.Tensor:
    """Drops PAD wherever it stands and keeps the last items, left-padded.

    Args:
      item_ids: int64 [B, N], PAD anywhere.
      max_length: items to keep at most.

    Returns:
      int64 [B, W]; W is the longest row kept (at least 1), so padding costs the model nothing.
    """
    is_item = tf.not_equal(item_ids, PAD)
    counts = tf.cast(is_item, tf.int64)
    num_later = tf.cumsum(counts, axis=1, exclusive=True, reverse=True)
    # Of no rows the maximum is the lowest integer.
    longest = tf.reduce_max(tf.reduce_sum(counts, axis=1))
    width = tf.clip_by_value(longest, 1, max_length)
    places = tf.where(is_item & (num_later < width))
    columns = width - 1 - tf.gather_nd(num_later, places)
    return tf.scatter_nd(
        tf.stack([places[:, 0], columns], axis=1),
        tf.gather_nd(item_ids, places),
        tf.stack([tf.shape(item_ids, tf.int64)[0], width]),
    )


def exclude_items(scores: tf.Tensor, item_ids: tf.Tensor) -> tf.Tensor:
    """Sets the scores of the given items to -inf.

    Args:
      scores: float32 [B, V], column j for item j + 1.
      item_ids: int64 [B, N], PAD is ignored.

    Returns:
      float32 [B, V].
    """
    places = tf.where(tf.not_equal(item_ids, PAD))
    columns = tf.gather_nd(item_ids, places) - 1
    return tf.tensor_scatter_nd_update(
        scores,
        tf.stack([places[:, 0], columns], axis=1),
        tf.fill(tf.shape(columns), -float("inf")),
    )


def _last_scores(model: SequenceModel, item_ids: tf.Tensor) -> tf.Tensor:
    """Scores [B, V] of what follows the last position, which alone meets the item table."""
    states = model(item_ids, training=False).final_states[:, -1]
    # Not left to the model: attention over nothing, say, may give NaN.
    has_items = tf.not_equal(item_ids[:, -1:], PAD)
    return model.sequence_embedding.item_logits(tf.where(has_items, states, 0.0))


class _VocabularyInitializer(tf.lookup.TextFileInitializer):
    """Fills a table from lines of a file, and leaves the table's name to TensorFlow (a UUID).

    By default the name holds the path of the file: the bundle would tell where it was written.
    """

    @property
    def _shared_name(self) -> str:
        return ""


def _lookup_table(vocabulary_path: str, *, is_key_to_line: bool) -> tf.lookup.StaticHashTable:
    """Item key to its line (from 0, -1 for an unknown one), or line to item key."""
    line = (tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER)
    key = (tf.string, tf.lookup.TextFileIndex.WHOLE_LINE)
    columns = (*key, *line) if is_key_to_line else (*line, *key)
    initializer = _VocabularyInitializer(vocabulary_path, *columns)
    return tf.lookup.StaticHashTable(initializer, default_value=-1 if is_key_to_line else "")
