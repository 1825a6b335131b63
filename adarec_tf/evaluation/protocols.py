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

from adarec_tf.data.batches import target_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.ranking import metrics_of_ranks, target_ranks
from adarec_tf.models.sequence_model import SequenceModel

# Rows of the histories (int [B]) and their item ids (int64 [B, L], left-padded) to scores
# (float [B, num_items], column j for item j + 1).
ScoreBatch = Callable[[np.ndarray, np.ndarray], np.ndarray]

CUTOFFS = (1, 5, 10, 20)
_SEEN_OPTIONS = ("exclude", "keep")
_POSITIONS_PER_BATCH = 8192
_MAX_SCORES = 2**24  # scores held at once: 64 MiB of float32


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
          Rows of the histories (int [B]), their item ids (int64 [B, L]), and which items they are
          not shown (bool [B, num_items], or None where all are candidates).

        Raises:
          ValueError: `seen` is neither option.
        """
        if self.seen not in _SEEN_OPTIONS:
            raise ValueError(
                f"`seen` should be one of {', '.join(_SEEN_OPTIONS)}. Received: seen={self.seen!r}."
            )
        size = max(1, _MAX_SCORES // self.num_items)
        for rows, item_ids in target_batches(
            self.histories, max_length=self.max_length, positions_per_batch=_POSITIONS_PER_BATCH
        ):
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                yield part, item_ids[start : start + size], self._excluded_items(part)

    def _excluded_items(self, rows: np.ndarray) -> np.ndarray | None:
        if self.seen == "keep":
            return None
        is_seen = np.zeros((len(rows), self.num_items), bool)
        for place, row in enumerate(rows):
            is_seen[place, self.histories.history(row) - 1] = True
        return is_seen


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
    ranks = ranks_full(score_batch, EvaluationSplit(histories, num_items, max_length, seen))
    return metrics_of_ranks(ranks, cutoffs=cutoffs, protocol="full")


def ranks_full(score_batch: ScoreBatch, split: EvaluationSplit) -> np.ndarray:
    """The rank of each user's target; two models' ranks can be compared user by user.

    Args:
      score_batch: the model, see `ScoreBatch`.
      split: the users and their candidates.

    Returns:
      int64 [U] in the order of the histories, from 1; `num_items + 1` where the target is excluded.

    Raises:
      ValueError: `seen` is neither option, a target is no item, or the model gives NaN.
    """
    ranks = np.zeros(split.histories.num_users, np.int64)
    for rows, item_ids, is_excluded in split.batches():
        scores = score_batch(rows, item_ids)
        ranks[rows] = target_ranks(scores, split.histories.targets[rows], is_excluded)
    return ranks


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
        scores = np.take_along_axis(score_batch(rows, item_ids), candidates - 1, axis=1)
        ranks[rows] = target_ranks(scores, np.ones(len(rows), np.int64))
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

    return lambda rows, item_ids: score(item_ids).numpy()
