"""How well models predict the next events of a period: NDCG@10, event by event."""

import numpy as np

from adarec_tf.evaluation.baselines import Markov
from adarec_tf.evaluation.protocols import EvaluationSplit, rank_full
from adarec_tf.evaluation.ranking import user_gains
from adarec_tf.export.recommender import Recommender
from adarec_tf.watch.scene_events import SceneEvents

K = 10
_BATCH = 256
_METRIC = f"ndcg@{K}/full"


def markov_gains(
    events: SceneEvents, is_counted: np.ndarray, places: np.ndarray, seen: str
) -> np.ndarray:
    """What a Markov model gains at each of these events: float64 [M].

    Args:
      events: of the whole log.
      is_counted: bool [N], the events whose transitions it has counted.
      places: int64 [M], events to predict.
      seen: `exclude` or `keep`: whether items of the history are candidates.
    """
    counted = events.histories(is_counted)
    scorer = Markov().scorer(counted, events.num_items)
    # It looks at the last item alone.
    split = EvaluationSplit(events.before(places), events.num_items, 1, seen)
    ranks = rank_full(scorer, split).ranks
    is_met = np.isin(events.items[places], counted.item_ids)
    return np.where(is_met, gains_of_ranks(ranks), 0.0)


def recommender_gains(
    events: SceneEvents, recommender: Recommender, places: np.ndarray
) -> np.ndarray:
    """What a served model gains at each of these events: float64 [M], 0 for unknown items.

    Args:
      events: of the whole log.
      recommender: of a bundle; it answers as a server would.
      places: int64 [M], events to predict.
    """
    histories = list(events.keys_before(places))
    targets = events.item_keys.take(events.items[places] - 1).to_pylist()
    ranks = np.full(len(places), K + 1)
    order = np.argsort([len(history) for history in histories], kind="stable")
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        answers = recommender([histories[row] for row in rows], K)
        for row, answer in zip(rows, answers, strict=True):
            listed = [item.item_id for item in answer]
            if targets[row] in listed:
                ranks[row] = listed.index(targets[row]) + 1
    return gains_of_ranks(ranks)


def gains_of_ranks(ranks: np.ndarray) -> np.ndarray:
    """NDCG@10 of each rank (int64 [M], from 1)."""
    return user_gains(ranks, cutoffs=[K], protocol="full")[_METRIC]
