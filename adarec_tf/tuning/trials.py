"""Short trainings that decide between teachers, by KerasTuner: successive halving on epochs.

KerasTuner keeps the trials, goes on after a kill, and counts a trial that raises as lost. The
candidates, how they are halved and what a trial measures are ours. Needs the extra `tuning`.
"""

import contextlib
import functools
import itertools
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
    """The rounds: all candidates for an eighth of the epochs, half and one for two fifths.

    What learns fast is ahead after an eighth; after two fifths, on Beauty, it no longer was. The
    one is two of the others together (`with_pairs`).

    Args:
      num_candidates: how many there are.
      max_epochs: of the training that the trials are for.

    Examples:
        >>> halving_rungs(6, 24)
        [Rung(size=6, epochs=3), Rung(size=4, epochs=10)]
    """
    half = max(2, (num_candidates + 1) // 2)
    return [
        Rung(num_candidates, max(2, max_epochs // 8)),
        Rung(min(num_candidates, half + 1), max(2, round(0.4 * max_epochs))),
    ]


def with_pairs(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, and after them each two of them together that change different settings.

    The first round tries the candidates alone, a later one the two best of them together: a change
    may pay only with another, and all pairs would be too many to try.

    Args:
      candidates: the first changes nothing.

    Examples:
        >>> changes = [Candidate("profile", {}), Candidate("a", {"a": 1}), Candidate("b", {"b": 2})]
        >>> with_pairs(changes)[3:]
        [Candidate(name='a, b', changes={'a': 1, 'b': 2})]
    """
    pairs = [
        Candidate(f"{one.name}, {other.name}", {**one.changes, **other.changes})
        for one, other in itertools.combinations(candidates[1:], 2)
        if not set(one.changes) & set(other.changes)
    ]
    alone = [one.changes for one in candidates]
    return [*candidates, *(pair for pair in pairs if pair.changes not in alone)]


class SuccessiveHalving(keras_tuner.Oracle):
    """Hands out the candidates in their order, and those that were best again, for longer.

    Hyperband of KerasTuner draws its candidates at random; here the first is what the scene's
    profile says, and each other changes one thing, or two things that were best alone.

    Attributes:
      candidates: what is tried: as many as the first round has, and pairs of them.
    """

    def __init__(self, candidates: Sequence[Candidate], rungs: Sequence[Rung], seed: int) -> None:
        """Creates the oracle.

        Args:
          candidates: the first one is what stays where no other is clearly better.
          rungs: the rounds; the first has all candidates but the pairs.
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
        The last place has the two best together, where both were better than the first.
        """
        if rung == 0:
            return place
        scores = {
            trial.hyperparameters.values["candidate"]: trial.score
            for trial in self.finished(rung - 1)
        }
        best = sorted(scores, key=lambda candidate: candidate != 0)
        pair = self._best_pair([one for one in scores if scores[one] > scores.get(0, 0.0)])
        if pair is not None:
            best = [*best[: self._rungs[rung].size - 1], pair]
        return best[place] if place < len(best) else None

    def _best_pair(self, better: Sequence[int]) -> int | None:
        """The pair of the best candidate and the next one that goes with it.

        Args:
          better: candidates that were better than the first, the best one first.
        """
        changes = [dict(self.candidates[number].changes) for number in better]
        numbers = range(self._rungs[0].size, len(self.candidates))
        pairs = {number: dict(self.candidates[number].changes) for number in numbers}
        return next(
            (
                number
                for other in changes[1:]
                for number, pair in pairs.items()
                if pair == changes[0] | other
            ),
            None,
        )


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
      candidates: the first is what stays where no other is clearly better; pairs follow
        (`with_pairs`).
      rungs: the rounds; the first has all candidates but the pairs.
      train: candidate and epochs to NDCG@10 on validation.
      directory: where the trials are kept; a search that was killed goes on from it.
      seed: of KerasTuner.
      margin: how many times as good as the first another has to be, for each of its changes.
        Another kind of teacher counts as two: kinds differ in how fast they learn.
      num_processes: that train at a time, this one included; `train` can be pickled if it is not 1.

    Returns:
      The number of the candidate that is best in the last round, of those that are so much better
      than the first, and all trials.

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
    least = {
        number: margin ** _num_changes(candidates[number]) * scores.get(0, 0.0) for number in scores
    }
    better = [number for number, score in scores.items() if score > least[number]]
    return max(better, key=scores.__getitem__, default=0), trials


def _num_changes(candidate: Candidate) -> int:
    """How many times the margin counts for a candidate."""
    return len(candidate.changes) + ("teacher.name" in candidate.changes)


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
