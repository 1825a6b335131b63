"""The full-catalog protocol: every item the user may be shown is a candidate.

The protocol is part of a metric's name (`ndcg@10/full`). Batches are streamed: memory follows the
catalog, never users times items. A model sees the last `max_length` items of a history, but items
seen are looked up in all of it.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import target_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.ranking import metrics_of_ranks, target_ranks
from adarec_tf.models.sequence_model import SequenceModel

# Rows of the histories (int [B]) and their item ids (int64 [B, L], left-padded) to scores
# (float [B, num_items], column j for item j + 1).
ScoreBatch = Callable[[np.ndarray, np.ndarray], np.ndarray]

CUTOFFS = (1, 5, 10, 20)
_SEEN_OPTIONS = ("exclude", "keep")
POSITIONS_PER_BATCH = 8192
_MAX_SCORES = 2**24  # scores held at once: 64 MiB of float32


def evaluate_full(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    cutoffs: Sequence[int] = CUTOFFS,
    positions_per_batch: int = POSITIONS_PER_BATCH,
) -> dict[str, float]:
    """Ranks each target among the full catalog; each user counts once.

    Args:
      score_batch: the model, see `ScoreBatch`.
      histories: the valid or test split.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      cutoffs: values of k.
      positions_per_batch: B x L aimed at.

    Returns:
      `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full` for each cut-off.

    Raises:
      ValueError: `seen` is neither option, a cut-off is below 1, a target is no item, or the model
        gives NaN.
    """
    ranks = ranks_full(
        score_batch,
        histories,
        num_items=num_items,
        max_length=max_length,
        seen=seen,
        positions_per_batch=positions_per_batch,
    )
    return metrics_of_ranks(ranks, cutoffs=cutoffs, protocol="full")


def ranks_full(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    positions_per_batch: int = POSITIONS_PER_BATCH,
) -> np.ndarray:
    """The rank of each user's target; two models' ranks can be compared user by user.

    Args are those of `evaluate_full`.

    Returns:
      int64 [U] in the order of the histories, from 1; `num_items + 1` where the target is excluded.

    Raises:
      ValueError: as `evaluate_full`.
    """
    ranks = np.zeros(histories.num_users, np.int64)
    for rows, item_ids in score_batches(
        histories,
        num_items=num_items,
        max_length=max_length,
        positions_per_batch=positions_per_batch,
    ):
        is_excluded = excluded_items(histories, rows, num_items=num_items, seen=seen)
        scores = score_batch(rows, item_ids)
        ranks[rows] = target_ranks(scores, histories.targets[rows], is_excluded)
    return ranks


def model_scorer(model: SequenceModel) -> ScoreBatch:
    """Scores with a sequence model: what follows the last position, which alone is scored.

    Args:
      model: any sequence model; its current weights are used at each call.

    Returns:
      A `ScoreBatch` around one `tf.function` of dynamic shape.
    """
    last_states = last_states_of(model)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def score(item_ids: tf.Tensor) -> tf.Tensor:
        return model.sequence_embedding.item_logits(last_states(item_ids))

    return lambda rows, item_ids: score(item_ids).numpy()


def last_states_of(model: SequenceModel) -> Callable[[tf.Tensor], tf.Tensor]:
    """A `tf.function` from item ids (int64 [B, L]) to the model's last final states [B, D]."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def last_states(item_ids: tf.Tensor) -> tf.Tensor:
        return model(item_ids, training=False).final_states[:, -1]

    return last_states


def score_batches(
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    positions_per_batch: int = POSITIONS_PER_BATCH,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of `target_batches`, cut where the scores of one would need too much memory.

    Args:
      histories: the valid or test split.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      positions_per_batch: B x L aimed at.

    Yields:
      Rows of the histories (int [B]) and their item ids (int64 [B, L]).
    """
    size = max(1, _MAX_SCORES // num_items)
    for rows, item_ids in target_batches(
        histories, max_length=max_length, positions_per_batch=positions_per_batch
    ):
        for start in range(0, len(rows), size):
            yield rows[start : start + size], item_ids[start : start + size]


def excluded_items(
    histories: Histories, rows: np.ndarray, *, num_items: int, seen: str
) -> np.ndarray | None:
    """Which items these users are not shown.

    Args:
      histories: the valid or test split.
      rows: int [B], which users.
      num_items: size of the catalog.
      seen: `exclude` or `keep`: whether items of the history are candidates.

    Returns:
      bool [B, num_items], the items of the whole histories; None where all are candidates.

    Raises:
      ValueError: `seen` is neither option.
    """
    if seen not in _SEEN_OPTIONS:
        raise ValueError(
            f"`seen` should be one of {', '.join(_SEEN_OPTIONS)}. Received: seen={seen!r}."
        )
    if seen == "keep":
        return None
    is_seen = np.zeros((len(rows), num_items), bool)
    for place, row in enumerate(rows):
        is_seen[place, histories.history(row) - 1] = True
    return is_seen
