"""The full-catalogue protocol: every item the user may be shown is a candidate.

The protocol is part of a metric's name (`ndcg@10/full`). Batches are streamed: memory follows the
catalogue, never users times items. A model sees the last `max_length` items of a history, but items
seen are looked up in all of it.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from tensorflow_recommenders.layers.factorized_top_k import BruteForce

from adarec_tf.data.examples import Histories, target_batches
from adarec_tf.metrics.ranking import hit_rate_at_k, mrr_at_k, ndcg_at_k, target_ranks
from adarec_tf.sequence_model import SequenceModel

# Rows of the histories (int [B]) and their item ids (int64 [B, L], left-padded) to scores
# (float [B, num_items], column j for item j + 1).
ScoreBatch = Callable[[np.ndarray, np.ndarray], np.ndarray]

CUTOFFS = (1, 5, 10, 20)
_SEEN_OPTIONS = ("exclude", "keep")
_POSITIONS_PER_BATCH = 8192
_MAX_SCORES = 2**24  # scores held at once: 64 MiB of float32


def evaluate_full(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    cutoffs: Sequence[int] = CUTOFFS,
    positions_per_batch: int = _POSITIONS_PER_BATCH,
) -> dict[str, float]:
    """Ranks each target among the full catalogue; each user counts once.

    Args:
      score_batch: the model, see `ScoreBatch`.
      histories: the valid or test split.
      num_items: size of the catalogue.
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
    metrics = {"hit_rate": hit_rate_at_k, "ndcg": ndcg_at_k, "mrr": mrr_at_k}
    return {
        f"{name}@{k}/full": metric(ranks, k) for k in cutoffs for name, metric in metrics.items()
    }


def ranks_full(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    positions_per_batch: int = _POSITIONS_PER_BATCH,
) -> np.ndarray:
    """The rank of each user's target; two models' ranks can be compared user by user.

    Args are those of `evaluate_full`.

    Returns:
      int64 [U] in the order of the histories, from 1; `num_items + 1` where the target is excluded.

    Raises:
      ValueError: as `evaluate_full`.
    """
    _check_seen(seen)
    ranks = np.zeros(histories.num_users, np.int64)
    for rows, item_ids in _batches(histories, num_items, max_length, positions_per_batch):
        is_excluded = _is_seen(histories, rows, num_items) if seen == "exclude" else None
        scores = score_batch(rows, item_ids)
        ranks[rows] = target_ranks(scores, histories.targets[rows], is_excluded)
    return ranks


def catalogue_coverage(
    model: SequenceModel,
    histories: Histories,
    *,
    max_length: int,
    seen: str,
    k: int,
    positions_per_batch: int = _POSITIONS_PER_BATCH,
) -> float:
    """Share of the catalogue that at least one user is shown among the first k.

    Args:
      model: the model, with its tied item table.
      histories: the valid or test split; targets are not used.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      k: length of a recommendation.
      positions_per_batch: B x L aimed at.

    Returns:
      In 0..1; reported as `catalogue_coverage@k/full`.

    Raises:
      ValueError: `seen` is neither option.
    """
    _check_seen(seen)
    item_table = tf.convert_to_tensor(model.sequence_embedding.item_table)
    num_items = model.sequence_embedding.num_items
    index = BruteForce().index(item_table[1:], tf.range(num_items))
    last_states = _last_states(model)
    is_shown = np.zeros(num_items, bool)
    for rows, item_ids in _batches(histories, num_items, max_length, positions_per_batch):
        is_seen = np.zeros((len(rows), num_items), bool)
        if seen == "exclude":
            is_seen = _is_seen(histories, rows, num_items)
        # Not `query_with_exclusions`: it compares every pair of a candidate and an exclusion, and
        # fails where the two outnumber the catalogue. Asking for enough to drop some is the same.
        num_asked = min(num_items, k + int(is_seen.sum(axis=1).max()))
        columns = index(last_states(item_ids), k=num_asked)[1].numpy()
        is_allowed = ~np.take_along_axis(is_seen, columns, axis=1)
        is_shown[columns[is_allowed & (is_allowed.cumsum(axis=1) <= k)]] = True
    return float(is_shown.mean())


def model_scorer(model: SequenceModel) -> ScoreBatch:
    """Scores with a sequence model: what follows the last position, which alone is scored.

    Args:
      model: any sequence model; its current weights are used at each call.

    Returns:
      A `ScoreBatch` around one `tf.function` of dynamic shape.
    """
    last_states = _last_states(model)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def score(item_ids: tf.Tensor) -> tf.Tensor:
        return model.sequence_embedding.item_logits(last_states(item_ids))

    return lambda rows, item_ids: score(item_ids).numpy()


def _last_states(model: SequenceModel) -> Callable[[tf.Tensor], tf.Tensor]:
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def last_states(item_ids: tf.Tensor) -> tf.Tensor:
        return model(item_ids, training=False).final_states[:, -1]

    return last_states


def _batches(
    histories: Histories, num_items: int, max_length: int, positions_per_batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches of `target_batches`, cut where their scores would not fit `_MAX_SCORES`."""
    size = max(1, _MAX_SCORES // num_items)
    for rows, item_ids in target_batches(
        histories, max_length=max_length, positions_per_batch=positions_per_batch
    ):
        for start in range(0, len(rows), size):
            yield rows[start : start + size], item_ids[start : start + size]


def _is_seen(histories: Histories, rows: np.ndarray, num_items: int) -> np.ndarray:
    """Bool [B, num_items], the items of the whole histories."""
    is_seen = np.zeros((len(rows), num_items), bool)
    for place, row in enumerate(rows):
        is_seen[place, histories.history(row) - 1] = True
    return is_seen


def _check_seen(seen: str) -> None:
    if seen not in _SEEN_OPTIONS:
        raise ValueError(
            f"`seen` should be one of {', '.join(_SEEN_OPTIONS)}. Received: seen={seen!r}."
        )
