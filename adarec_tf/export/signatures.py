"""The served functions: raw item keys in, recommended item keys out, all of it TensorFlow graph.

A client needs no vocabulary, no padding rule and no code of this package. Inputs of every
signature: `history` string [B, N] holds raw item keys, oldest first; "" and unknown keys anywhere
are dropped. A history without a known item gets the order of the vocabulary, which is that of
popularity, with equal scores.

Lists of items (`candidates`, `allowed`, `denied`) have a row a history or one row for all.
"""

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import tensorflow as tf

from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.export.item_ids import (
    best_items,
    exclude_items,
    exclude_listed,
    latest_items,
    mark_items,
)
from adarec_tf.models.sequence_model import LastStateEncoder, SequenceModel
from adarec_tf.models.students import Student
from adarec_tf.models.students.inference import ServedStudent

SIGNATURE = "serving_default"
SCORE = "score"
FILTERED = "recommend_filtered"
EXAMPLES = "from_examples"
EMBED = "embed"
STEP = "step"
# `from_examples` has one input, so how many items it gives is fixed.
EXAMPLES_K = 100

_K = tf.TensorSpec([], tf.int32, name="k")
_EXCLUDE_SEEN = tf.TensorSpec([], tf.bool, name="exclude_seen")


class ServedModel(NamedTuple):
    """What `tf.saved_model.save` is given.

    Attributes:
      module: owns the lookup tables, the item table and exactly the variables the functions read:
        no optimizer, no seeds of dropout, no layer that only training uses.
      signatures: the traced functions by name, see `build_served_model`.
      session_size: numbers of a session of `step`; 0 if the model has no such signature.
    """

    module: tf.Module
    signatures: dict[str, tf.types.experimental.ConcreteFunction]
    session_size: int


def build_served_model(
    model: SequenceModel,
    vocabulary_path: str,
    *,
    max_length: int,
    exclude_seen: bool,
    names: Collection[str] | None = None,
) -> ServedModel:
    """Traces the signatures around a model; they share weights, tables and the encoder's graph.

    `serving_default(history, k, exclude_seen)`: the best items. `k` int32 [], positive;
    `exclude_seen` bool [], whether items of the given history (all of it, not only what the model
    sees) are no candidates. Gives `item_ids` string [B, K] and `scores` float32 [B, K], best first,
    where K is k or the size of the catalog if that is less. Slots without a candidate come last:
    "" and -inf.

    `recommend_filtered(history, k, exclude_seen, allowed, denied)`: the same among the items of the
    row of `allowed` (a row of "" alone allows all) that are not in the row of `denied`.

    `score(history, candidates)`: `scores` float32 [B, C] of given items; -inf for unknown keys.

    `embed(history)`: `user_vector` float32 [B, D], whose products with the item table are scores.

    `from_examples(examples)`: `examples` string [B] of serialized `tf.train.Example` with a feature
    `history` of raw item keys; the best `EXAMPLES_K` items, seen ones as `exclude_seen` below says.

    `step(item, session, k, denied)`, of students only: one more item, string [B], of sessions
    float32 [B, S]; zeros, or [B, 0], begin new ones. Gives `item_ids`, `scores` and the new
    `session`; equal to a recommendation from the whole history of at most `max_length` items.

    Args:
      model: the sequence model.
      vocabulary_path: its vocabulary, one raw item key a line in id order; becomes an asset.
      max_length: items of a history the model sees.
      exclude_seen: whether `from_examples` leaves items of the history out.
      names: of the signatures wanted; None takes all that the model has.
    """
    module = tf.Module()
    # Both tables read the one asset, so the keys are in the bundle once.
    module.item_lines = _lookup_table(vocabulary_path, is_key_to_line=True)
    module.item_keys = _lookup_table(vocabulary_path, is_key_to_line=False)
    functions = _ServedFunctions(model, module, max_length, exclude_seen)
    with model.sequence_embedding.serving_form() as module.item_table:
        signatures = {
            name: tf.function(function, input_signature=inputs).get_concrete_function()
            for name, (function, inputs) in functions.signatures().items()
            if names is None or name in names
        }
        # Here, since graphs do not keep the variables that the table's served form is made of.
        module.model_variables = _read_variables(signatures.values())
    return ServedModel(module, signatures, functions.session_size)


def _read_variables(
    functions: Iterable[tf.types.experimental.ConcreteFunction],
) -> list[tf.Variable]:
    """The variables whose handles the functions take; a graph also lists those made constants."""
    variables: dict[int, tf.Variable] = {}
    for function in functions:
        handles = {id(handle) for handle in function.captured_inputs}
        variables |= {id(v): v for v in function.graph.variables if id(v.handle) in handles}
    return list(variables.values())


class _ServedFunctions:
    """The signatures as Python functions, before they are traced."""

    def __init__(
        self, model: SequenceModel, tables: tf.Module, max_length: int, exclude_seen: bool
    ) -> None:
        self._tables = tables
        self._embedding = model.sequence_embedding
        self._max_length = max_length
        self._exclude_seen = exclude_seen
        self._student = ServedStudent(model, max_length) if isinstance(model, Student) else None
        self._encoder: LastStateEncoder = self._student or _WholeModel(model, max_length)
        # Functions of their own, so that their graphs and constants are in the bundle once.
        self._encode = tf.function(
            self._last_states, input_signature=[tf.TensorSpec([None, None], tf.int64)]
        )
        self._item_logits = tf.function(
            self._embedding.item_logits,
            input_signature=[tf.TensorSpec([None, self._embedding.hidden_dim], tf.float32)],
        )

    @property
    def session_size(self) -> int:
        return self._student.session_size if self._student else 0

    def signatures(self) -> dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list]]:
        """For each signature the function and its inputs."""
        history = _named("history")
        filters = [_named("allowed"), _named("denied")]
        signatures: dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list]] = {
            SIGNATURE: (self.recommend, [history, _K, _EXCLUDE_SEEN]),
            FILTERED: (self.recommend_filtered, [history, _K, _EXCLUDE_SEEN, *filters]),
            SCORE: (self.score, [history, _named("candidates")]),
            EMBED: (self.embed, [history]),
            EXAMPLES: (self.from_examples, [tf.TensorSpec([None], tf.string, name="examples")]),
        }
        if self._student:
            session = tf.TensorSpec([None, None], tf.float32, name="session")
            item = tf.TensorSpec([None], tf.string, name="item")
            signatures[STEP] = (self.step, [item, session, _K, _named("denied")])
        return signatures

    def recommend(
        self, history: tf.Tensor, k: tf.Tensor, exclude_seen: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        item_ids = self._item_ids(history)
        scores = self._item_logits(self._encode(item_ids))
        return self._best(exclude_items(scores, _if_excluded(item_ids, exclude_seen)), k)

    def recommend_filtered(
        self,
        history: tf.Tensor,
        k: tf.Tensor,
        exclude_seen: tf.Tensor,
        allowed: tf.Tensor,
        denied: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        allowed = _checked_rows("allowed", allowed, history)
        denied = _checked_rows("denied", denied, history)
        item_ids, num_items = self._item_ids(history), self._embedding.num_items
        scores = self._item_logits(self._encode(item_ids))
        restricts = tf.reduce_any(tf.not_equal(allowed, ""), axis=1, keepdims=True)
        is_outside = restricts & ~mark_items(self._item_ids(allowed), num_items)
        scores = tf.where(is_outside, -float("inf"), scores)
        scores = exclude_items(scores, _if_excluded(item_ids, exclude_seen))
        return self._best(exclude_listed(scores, self._item_ids(denied)), k)

    def score(self, history: tf.Tensor, candidates: tf.Tensor) -> dict[str, tf.Tensor]:
        candidate_ids = self._item_ids(_checked_rows("candidates", candidates, history))
        states = self._encode(self._item_ids(history))
        scores = self._embedding.item_scores(states, candidate_ids)
        return {"scores": tf.where(tf.equal(candidate_ids, PAD), -float("inf"), scores)}

    def embed(self, history: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"user_vector": self._encode(self._item_ids(history))}

    def from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        features = {"history": tf.io.VarLenFeature(tf.string)}
        history = tf.sparse.to_dense(tf.io.parse_example(examples, features)["history"])
        return self.recommend(history, tf.constant(EXAMPLES_K), tf.constant(self._exclude_seen))

    def step(
        self, item: tf.Tensor, session: tf.Tensor, k: tf.Tensor, denied: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        assert self._student is not None  # only then it is a signature
        denied = _checked_rows("denied", denied, item)
        size, num_sessions = self.session_size, tf.shape(item)[0]
        width = tf.shape(session)[1]
        check = tf.debugging.Assert(
            tf.equal(tf.shape(session)[0], num_sessions)
            & (tf.equal(width, 0) | tf.equal(width, size)),
            [f"`session` should have a row of {size} numbers, or of none, for each item"],
        )
        with tf.control_dependencies([check]):
            session = tf.pad(session, [[0, 0], [0, size - width]])
        num_items = session[:, 0]
        is_count = tf.debugging.Assert(
            tf.reduce_all((num_items >= 0) & tf.equal(num_items, tf.floor(num_items))),
            ["`session` should be what an earlier step gave, whose first number counts its items"],
        )
        with tf.control_dependencies([is_count]):
            is_short = tf.debugging.assert_less(
                num_items,
                tf.cast(self._student.max_items, tf.float32),
                f"A session should have at most {self._student.max_items} items: ask with the "
                "whole history instead",
            )
        with tf.control_dependencies([is_short]):
            session = tf.identity(session)
        stepped = self._student.step(self._item_ids(item), session)
        scores = self._item_logits(stepped.last_states)
        best = self._best(exclude_listed(scores, self._item_ids(denied)), k)
        return {**best, "session": stepped.sessions}

    def _item_ids(self, keys: tf.Tensor) -> tf.Tensor:
        return self._tables.item_lines.lookup(keys) + 1  # a key without a line becomes PAD

    def _last_states(self, item_ids: tf.Tensor) -> tf.Tensor:
        latest_ids, num_items = latest_items(
            item_ids, self._encoder.receptive_field, self._max_length
        )
        states = self._encoder.last_states(latest_ids, num_items)
        # Not left to the model: attention over nothing, say, may give NaN.
        return tf.math.multiply_no_nan(states, tf.cast(tf.sign(num_items), tf.float32))

    def _best(self, scores: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        check = tf.debugging.assert_positive(k, "`k` should be a positive integer")
        with tf.control_dependencies([check]):
            k = tf.minimum(k, self._embedding.num_items)
        scores, columns = best_items(scores, k)
        keys = self._tables.item_keys.lookup(tf.cast(columns, tf.int64))
        return {"item_ids": tf.where(scores > -float("inf"), keys, ""), "scores": scores}


class _WholeModel:
    """A `LastStateEncoder` of any sequence model: computes every position."""

    def __init__(self, model: SequenceModel, max_length: int) -> None:
        self._model = model
        self.receptive_field = max_length

    def last_states(self, latest_ids: tf.Tensor, num_items: tf.Tensor) -> tf.Tensor:
        longest = tf.maximum(tf.reduce_max(num_items), 1)  # padding would cost the model
        item_ids = tf.reverse(latest_ids[:, :longest], [1])
        return self._model(item_ids, training=False).final_states[:, -1]


def _named(name: str) -> tf.TensorSpec:
    return tf.TensorSpec([None, None], tf.string, name)


def _if_excluded(item_ids: tf.Tensor, exclude_seen: tf.Tensor) -> tf.Tensor:
    """The items, or PAD in place of each. No branch: taking nothing out is cheaper."""
    return item_ids * tf.cast(exclude_seen, item_ids.dtype)


def _checked_rows(name: str, items: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
    """TensorFlow Serving does not check shapes, and other numbers of rows would broadcast.

    What reads the items waits for the check, or the message of an inner operation could come first.
    """
    num_rows, num_histories = tf.shape(items)[0], tf.shape(history)[0]
    check = tf.debugging.Assert(
        tf.equal(num_rows, 1) | tf.equal(num_rows, num_histories),
        [f"`{name}` should have one row, or one for each history"],
    )
    with tf.control_dependencies([check]):
        return tf.identity(items)


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
