"""Trials on several workers: the chief chooses what is tried, and all of them train it together.

KerasTuner keeps its trials for one process. If each worker had a tuner, they would overwrite each
other's files, and after a kill one would go on with another trial than the rest.
"""

import logging
from collections.abc import Callable

import tensorflow as tf

from adarec_tf.config.recipe import Trial
from adarec_tf.training.devices import is_chief, values_of_chief, worker_name

logger = logging.getLogger(__name__)

# Candidate and epochs to NDCG@10 on validation.
Train = Callable[[int, int], float]

_NONE = -1


def run_together(
    run: Callable[[Train], tuple[int, list[Trial]]], train: Train, strategy: tf.distribute.Strategy
) -> tuple[int, list[Trial]]:
    """Runs trials, in the chief alone where there are several workers; these train what it tries.

    Args:
      run: runs all trials by a training that it is given.
      train: candidate and epochs to NDCG@10 on validation.
      strategy: of the workers.

    Returns:
      The number of the chosen candidate, and the trials; only the chief has these.

    Raises:
      ValueError: every trial failed.
    """
    if not worker_name(strategy):
        return run(train)
    if is_chief(strategy):
        return _lead(run, train, strategy)
    return _follow(train, strategy), []


def _tell(strategy: tf.distribute.Strategy, candidate: int, epochs: int) -> tuple[int, int]:
    """What the chief says: a candidate to train, or with 0 epochs the one that was chosen."""
    told = values_of_chief(strategy, {"candidate": candidate, "epochs": epochs})
    return round(told["candidate"]), round(told["epochs"])


def _lead(
    run: Callable[[Train], tuple[int, list[Trial]]], train: Train, strategy: tf.distribute.Strategy
) -> tuple[int, list[Trial]]:
    def train_together(candidate: int, epochs: int) -> float:
        _tell(strategy, candidate, epochs)
        return train(candidate, epochs)

    try:
        best, trials = run(train_together)
    except ValueError:
        _tell(strategy, _NONE, 0)
        raise
    _tell(strategy, best, 0)
    return best, trials


def _follow(train: Train, strategy: tf.distribute.Strategy) -> int:
    while True:
        candidate, epochs = _tell(strategy, _NONE, 0)
        if candidate == _NONE:
            raise ValueError(
                "One trial should succeed at least. Received: none; see the log of the chief."
            )
        if epochs == 0:
            return candidate
        try:
            train(candidate, epochs)
        except Exception:  # KerasTuner of the chief takes any as a lost trial
            logger.warning("A trial was lost.", exc_info=True)
