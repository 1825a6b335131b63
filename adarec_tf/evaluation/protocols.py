"""The protocols: which items a target is ranked among.

In the full-catalog protocol every item that the user may be shown is a candidate. Batches are
streamed, so memory grows with the catalog alone. A model sees the last `max_length` items of a
history, but seen items are looked up in all of it.

The sampled protocol draws a few candidates at random, as many papers do. It may order two models
otherwise than the full catalog (Krichene and Rendle, KDD 2020), so it decides nothing and serves to
compare with published figures.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import pad_item_sets, target_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.ranking import Ranking, metrics_of_ranks
from adarec_tf.evaluation.sparse_scorer import SparseScorer
from adarec_tf.models.metrics import target_ranks, users_at_a_time, without_items
from adarec_tf.models.sequence_model import SequenceModel

# Rows of the histories (int [B]) and their item ids (int64 [B, L], left-padded) to scores
# (float [B, num_items], column j for item j + 1).
ScoreBatch = Callable[[np.ndarray, np.ndarray], np.ndarray | tf.Tensor]

CUTOFFS = (1, 5, 10, 20)
_SEEN_OPTIONS = ("exclude", "keep")
_POSITIONS_PER_BATCH = 8192


class EvaluationSplit(NamedTuple):
    """The users that a model is evaluated on, and the candidates of each.

    Attributes:
      histories: the valid or test split.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
    """

    histories: Histories
    num_items: int
    max_length: int
    seen: str

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Users of about equal length, few enough that the scores of a batch fit in memory.

        Yields:
          Rows of the histories (int [B]), their item ids (int64 [B, L]), and the items that they
          are not shown (int64 [B, M], each once, 0 where there is none), or None where all items
          are candidates.

        Raises:
          ValueError: `seen` is neither option.
        """
        if self.seen not in _SEEN_OPTIONS:
            raise ValueError(
                f"`seen` should be one of {', '.join(_SEEN_OPTIONS)}. Received: seen={self.seen!r}."
            )
        size = users_at_a_time(self.num_items)
        for rows, item_ids in target_batches(
            self.histories, max_length=self.max_length, positions_per_batch=_POSITIONS_PER_BATCH
        ):
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                excluded = pad_item_sets(self.histories, part) if self.seen == "exclude" else None
                yield part, item_ids[start : start + size], excluded


def evaluate_full(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seen: str,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """Ranks each target among the full catalog; each user counts once.

    Args:
      score_batch: the model, see `ScoreBatch`.
      histories: the valid or test split.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      seen: `exclude` or `keep`: whether items of the history are candidates.
      cutoffs: values of k.

    Returns:
      `hit_rate@k/full`, `ndcg@k/full` and `mrr@k/full` for each cut-off.

    Raises:
      ValueError: `seen` is neither option, a cut-off is below 1, a target is no item, or the model
        gives NaN.
    """
    split = EvaluationSplit(histories, num_items, max_length, seen)
    ranks = rank_full(score_batch, split).ranks
    return metrics_of_ranks(ranks, cutoffs=cutoffs, protocol="full")


def rank_full(score_batch: ScoreBatch, split: EvaluationSplit, k: int = 0) -> Ranking:
    """The rank of each user's target, and the first k items: the catalog is scored once for both.

    Args:
      score_batch: the model, see `ScoreBatch`. An item that scores -inf is on no list.
      split: the users and their candidates.
      k: length of the lists, which are of all items where there are fewer.

    Returns:
      Ranks and lists in the order of the histories: two models can be compared user by user.

    Raises:
      ValueError: `seen` is neither option, a target is no item, or the model gives NaN.
    """
    targets, num_items = split.histories.targets, split.num_items
    if len(targets) and not 1 <= targets.min() <= targets.max() <= num_items:
        raise ValueError(
            f"Targets should be item ids in 1..{num_items}. "
            f"Received: {targets.min()}..{targets.max()}."
        )
    k = min(k, num_items)
    ranking = Ranking(np.zeros(len(targets), np.int64), np.zeros((len(targets), k), np.int32))
    for rows, item_ids, excluded in split.batches():
        if isinstance(score_batch, SparseScorer):
            of_batch = score_batch.rank(item_ids, targets[rows], excluded, k)
        else:
            scores = _scores(score_batch, rows, item_ids, num_items)
            ranks = target_ranks(scores, targets[rows], excluded)
            of_batch = Ranking(ranks.numpy(), _first_items(scores, excluded, k))
        ranking.ranks[rows], ranking.lists[rows] = of_batch
    return ranking


def _scores(
    score_batch: ScoreBatch, rows: np.ndarray, item_ids: np.ndarray, num_items: int
) -> tf.Tensor:
    scores = tf.convert_to_tensor(score_batch(rows, item_ids))
    if not scores.dtype.is_floating:
        scores = tf.cast(scores, tf.float64)
    if scores.shape != (len(rows), num_items):
        raise ValueError(
            f"Scores should be [B, num_items], here {(len(rows), num_items)}. "
            f"Received: {tuple(scores.shape)}."
        )
    if tf.reduce_any(tf.math.is_nan(scores)):
        raise ValueError(
            "Scores should be numbers. Received: NaN, so the model cannot be ranked; "
            "look for a diverged training run."
        )
    return scores


def _first_items(scores: tf.Tensor, excluded: np.ndarray | None, k: int) -> np.ndarray:
    """The items of the k highest scores: int32 [B, k], 0 where there is none."""
    if k and excluded is not None:
        scores = without_items(scores, excluded)
    best, columns = tf.math.top_k(scores, k)
    return tf.where(best > -np.inf, columns + 1, 0).numpy()


def evaluate_sampled(
    score_batch: ScoreBatch,
    histories: Histories,
    *,
    num_items: int,
    max_length: int,
    seed: int,
    num_negatives: int = 100,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """Ranks each target among itself and its negatives, see `sample_negatives`.

    A target that the history holds stays a candidate: this protocol has no option for seen items.

    Args:
      score_batch: the model, see `ScoreBatch`.
      histories: the valid or test split.
      num_items: size of the catalog.
      max_length: items of a history the model sees.
      seed: of the negatives.
      num_negatives: N, drawn for each user.
      cutoffs: values of k.

    Returns:
      `hit_rate@k/sampledN`, `ndcg@k/sampledN` and `mrr@k/sampledN` for each cut-off.

    Raises:
      ValueError: a user has too few items left to draw, a cut-off is below 1, or the model gives
        NaN.
    """
    ranks = np.zeros(histories.num_users, np.int64)
    for rows, item_ids, _ in EvaluationSplit(histories, num_items, max_length, "keep").batches():
        negatives = [
            sample_negatives(
                histories, row, num_items=num_items, num_negatives=num_negatives, seed=seed
            )
            for row in rows
        ]
        candidates = np.column_stack([histories.targets[rows], negatives])
        scores = _scores(score_batch, rows, item_ids, num_items)
        among = tf.gather(scores, candidates - 1, batch_dims=1)
        ranks[rows] = target_ranks(among, np.ones(len(rows), np.int64))
    return metrics_of_ranks(ranks, cutoffs=cutoffs, protocol=f"sampled{num_negatives}")


def sample_negatives(
    histories: Histories, row: int, *, num_items: int, num_negatives: int, seed: int
) -> np.ndarray:
    """Draws items uniformly, each once, that are neither the user's target nor in its history.

    Args:
      histories: the valid or test split.
      row: of the user; with the seed it decides the draw, whatever the batches.
      num_items: size of the catalog.
      num_negatives: N.
      seed: of the draw.

    Returns:
      int64 [N], item ids.

    Raises:
      ValueError: fewer than N items are left to draw.
    """
    taken = np.unique(np.append(histories.history(row), histories.targets[row]))
    num_left = num_items - len(taken)
    if num_left < num_negatives:
        raise ValueError(
            f"`num_negatives` should be at most the items a user has not met, here {num_left} of "
            f"{num_items}. Received: num_negatives={num_negatives}."
        )
    draws = np.random.default_rng([seed, int(row)]).choice(num_left, num_negatives, replace=False)
    # How many of the items left stand before each one taken: a draw behind them moves on by one.
    num_before = taken - 1 - np.arange(len(taken))
    return draws + 1 + np.searchsorted(num_before, draws, side="right")


def model_scorer(model: SequenceModel) -> ScoreBatch:
    """A `ScoreBatch` of a sequence model's last position, with its weights at each call."""

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64)])
    def score(item_ids: tf.Tensor) -> tf.Tensor:
        last_states = model(item_ids, training=False).final_states[:, -1]
        return model.sequence_embedding.item_logits(last_states)

    return lambda rows, item_ids: score(item_ids)
