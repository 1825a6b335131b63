"""The sampled protocol: the target among a few items drawn at random, as many papers report it.

It may order two models otherwise than the full catalog does (Krichene and Rendle, KDD 2020), so it
decides nothing and serves to compare with published figures.
"""

from collections.abc import Sequence

import numpy as np

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.protocols import CUTOFFS, EvaluationSplit, ScoreBatch
from adarec_tf.evaluation.ranking import metrics_of_ranks, target_ranks


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
