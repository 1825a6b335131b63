"""Short trainings that decide between teachers, by KerasTuner: successive halving on epochs.

KerasTuner keeps the trials, goes on after a kill, and counts a trial that raises as lost. The
candidates, how they are halved and what a trial measures are ours. Needs the extra `tuning`.
"""

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from adarec_tf.config.extras import require_extra
from adarec_tf.config.recipe import Trial
from adarec_tf.training.progress import Progress, log_progress
from adarec_tf.training.side_by_side import side_by_side

require_extra("tuning", "keras_tuner")
import keras_tuner  # noqa: E402 (its absence is told first)

logger = logging.getLogger(__name__)

_OBJECTIVE = keras_tuner.Objective("val_ndcg@10", "max")


class Candidate(NamedTuple):
    """Settings to try.

    Attributes:
      name: how they differ from what the scene's profile says.
      changes: `stage.field` to value.
    """

    name: str
    changes: Mapping[str, Any]


class Rung(NamedTuple):
    """A round of trials.

    Attributes:
      size: how many candidates.
      epochs: how long each is trained, from the beginning, with a rate that falls to 0.
    """

    size: int
    epochs: int


def halving_rungs(num_candidates: int, max_epochs: int) -> list[Rung]:
    """The rounds: all candidates for an eighth of the epochs, half for two fifths.

    What learns fast is ahead after an eighth; after two fifths, on Beauty, it no longer was.

    Args:
      num_candidates: how many there are.
      max_epochs: of the training that the trials are for.

    Examples:
        >>> halving_rungs(6, 24)
        [Rung(size=6, epochs=3), Rung(size=3, epochs=10)]
    """
    return [
        Rung(num_candidates, max(2, max_epochs // 8)),
        Rung(max(2, (num_candidates + 1) // 2), max(2, round(0.4 * max_epochs))),
    ]


class SuccessiveHalving(keras_tuner.Oracle):
    """Hands out the candidates in their order, and those that were best again, for longer.

    Hyperband of KerasTuner draws its candidates at random; here the first is what the scene's
    profile says, and each other changes one thing.

    Attributes:
      candidates: what is tried.
    """

    def __init__(self, candidates: Sequence[Candidate], rungs: Sequence[Rung], seed: int) -> None:
        """Creates the oracle.

        Args:
          candidates: the first one is what stays where no other is clearly better.
          rungs: the rounds; the first has all candidates.
          seed: of KerasTuner, which draws nothing here.
        """
        super().__init__(
            objective=_OBJECTIVE,
            max_trials=sum(rung.size for rung in rungs),
            seed=seed,
            max_consecutive_failed_trials=sum(rung.size for rung in rungs) + 1,
        )
        self.candidates, self._rungs = candidates, rungs

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """What KerasTuner runs next.

        Args:
          trial_id: the number of the trial.
        """
        place, first = int(trial_id), 0
        for number, rung in enumerate(self._rungs):
            if place < first + rung.size:
                chosen = self._chosen(number, place - first)
                break
            first += rung.size
        if chosen is None:
            return {"status": "STOPPED"}
        values = {"candidate": chosen, "epochs": self._rungs[number].epochs, "rung": number}
        return {"status": "RUNNING", "values": values}

    def upcoming(self, trial_id: str) -> list[tuple[int, int]]:
        """Candidate and epochs of a trial and of those that follow it in its round.

        Args:
          trial_id: the number of the trial.
        """
        place = int(trial_id)
        for number, rung in enumerate(self._rungs):
            if place < rung.size:
                chosen = [self._chosen(number, later) for later in range(place, rung.size)]
                return [(one, rung.epochs) for one in chosen if one is not None]
            place -= rung.size
        return []

    def finished(self, rung: int) -> list[keras_tuner.engine.trial.Trial]:
        """The trials of a round that gave a figure, the best first.

        Args:
          rung: from 0.
        """
        trials = [
            trial
            for trial in self.trials.values()
            if trial.hyperparameters.values["rung"] == rung and trial.score is not None
        ]
        return sorted(trials, key=lambda trial: -trial.score)

    def _chosen(self, rung: int, place: int) -> int | None:
        """The candidate of a place in a round; None where too few came through the round before.

        The first candidate comes through, if it is not lost: the others are measured against it.
        """
        if rung == 0:
            return place
        best = [trial.hyperparameters.values["candidate"] for trial in self.finished(rung - 1)]
        best.sort(key=lambda candidate: candidate != 0)
        return best[place] if place < len(best) else None


class Trials(keras_tuner.engine.base_tuner.BaseTuner):
    """Runs the trials."""

    def __init__(
        self,
        oracle: SuccessiveHalving,
        directory: str,
        train: Callable[[int, int], float],
        num_processes: int,
    ) -> None:
        """Creates the tuner.

        Args:
          oracle: says what is tried.
          directory: where the trials are kept; a search that was killed goes on from it.
          train: candidate and epochs to NDCG@10 on validation.
          num_processes: that train at a time, this one included.
        """
        super().__init__(oracle, directory=directory, project_name="trials", overwrite=False)
        self._train, self._num_processes = functools.partial(_timed, train), num_processes
        self._of_rung: tuple[int, Callable[[int, int], tuple[float, float]]] = -1, self._train
        self._open = contextlib.ExitStack()

    def search(self) -> None:
        """Runs all trials."""
        with self._open:
            super().search()

    def run_trial(self, trial: keras_tuner.engine.trial.Trial) -> dict[str, float]:
        """Trains one candidate.

        Args:
          trial: of the oracle.
        """
        values = trial.hyperparameters.values
        if self._of_rung[0] != values["rung"]:
            self._open.close()  # the processes of the round before
            tasks = self.oracle.upcoming(trial.trial_id)
            train = side_by_side(self._train, tasks, self._num_processes)
            self._of_rung = values["rung"], self._open.enter_context(train)
        ndcg, seconds = self._of_rung[1](values["candidate"], values["epochs"])
        log_progress(
            logger,
            Progress("trials", int(trial.trial_id) + 1, self.oracle.max_trials),
            "stage=trials candidate=%s epochs=%d ndcg=%.4f",
            self.oracle.candidates[values["candidate"]].name,
            values["epochs"],
            ndcg,
        )
        return {_OBJECTIVE.name: ndcg, "seconds": seconds}

    def on_trial_end(self, trial: keras_tuner.engine.trial.Trial) -> None:
        """Says why a trial was lost.

        Args:
          trial: finished or lost.
        """
        if trial.message:
            logger.warning("A trial was lost: %s", trial.message)
        super().on_trial_end(trial)


def _timed(train: Callable[[int, int], float], candidate: int, epochs: int) -> tuple[float, float]:
    """NDCG@10 of a candidate, and the seconds that it took where it was trained."""
    start = time.monotonic()
    return train(candidate, epochs), time.monotonic() - start


def run_trials(
    candidates: Sequence[Candidate],
    rungs: Sequence[Rung],
    train: Callable[[int, int], float],
    *,
    directory: str,
    seed: int,
    margin: float,
    num_processes: int = 1,
) -> tuple[int, list[Trial]]:
    """Tries candidates by successive halving.

    Args:
      candidates: the first is what stays where no other is clearly better.
      rungs: the rounds.
      train: candidate and epochs to NDCG@10 on validation.
      directory: where the trials are kept; a search that was killed goes on from it.
      seed: of KerasTuner.
      margin: how many times as good as the first another has to be.
      num_processes: that train at a time, this one included; `train` can be pickled if it is not 1.

    Returns:
      The number of the candidate that is best in the last round, and all trials.

    Raises:
      ValueError: every trial failed.
    """
    oracle = SuccessiveHalving(candidates, rungs, seed)
    tuner = Trials(oracle, directory, train, num_processes)
    oracle.verbose = 0
    tuner.search()
    trials = [_to_trial(trial, candidates) for _, trial in sorted(oracle.trials.items())]
    last = oracle.finished(len(rungs) - 1) or oracle.finished(0)
    scores = {trial.hyperparameters.values["candidate"]: trial.score for trial in last}
    if not scores:
        reasons = [trial.message.strip().rpartition("\n")[2] for trial in oracle.trials.values()]
        raise ValueError(f"One trial should succeed at least. Received: {reasons[-1]}")
    best = max(scores, key=lambda candidate: scores[candidate])
    is_better = scores[best] > margin * scores.get(0, 0.0)
    return (best if is_better else 0), trials


def _to_trial(trial: keras_tuner.engine.trial.Trial, candidates: Sequence[Candidate]) -> Trial:
    values = trial.hyperparameters.values
    score = trial.score if trial.score is None or math.isfinite(trial.score) else None
    seconds = trial.metrics.get_best_value("seconds") if score is not None else 0.0
    return Trial(
        candidate=candidates[values["candidate"]].name,
        epochs=values["epochs"],
        ndcg=None if score is None else float(np.round(score, 6)),
        seconds=round(float(seconds or 0.0), 1),
    )
