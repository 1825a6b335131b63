"""Two cheap trainings: has the student's genotype still an advantage over its runner-up?"""

import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.evaluation.protocols import EvaluationSplit, model_scorer, rank_full
from adarec_tf.evaluation.uncertainty import PairedTest, paired_test
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.students import Genotype, build_student
from adarec_tf.training.fit import SELECTION_METRIC, VALIDATION_USERS, fit
from adarec_tf.watch.next_items import gains_of_ranks


def runner_up(kept: Genotype, trace: Sequence[Mapping[str, Any]]) -> Genotype | None:
    """The best other student that a search compared at its end; None where there was none.

    Args:
      kept: the student's genotype.
      trace: the records of `search_trace.jsonl`.
    """
    finalists = trace[-1].get("selection", {}).get("finalists", []) if trace else []
    for finalist in sorted(finalists, key=lambda one: -one[SELECTION_METRIC]):
        genotype = Genotype.from_dict(finalist["genotype"])
        if genotype != kept:
            return genotype
    return None


def compare_genotypes(
    kept: Genotype,
    other: Genotype,
    dataset: Dataset,
    *,
    student: StudentConfig,
    training: TrainingConfig,
    epochs: int,
    seed: int,
) -> PairedTest:
    """Trains both for some epochs, without a teacher: NDCG@10 of the other one less the kept one's.

    Args:
      kept: the genotype that is served.
      other: its runner-up.
      dataset: of the new log; its validation targets judge.
      student: width, dropout and number format.
      training: loss and learning rate.
      epochs: of each training.
      seed: of the weights, of the order of the batches, and of the resampling.
    """
    valid = sample_users(dataset.valid, VALIDATION_USERS)
    gains = []
    for genotype in (other, kept):
        model = build_student(genotype, student, dataset.num_items, dataset.max_length, seed=seed)
        model.compile(loss=training.loss, seen=dataset.seen, learning_rate=training.learning_rate)
        with tempfile.TemporaryDirectory() as scratch:
            fit(
                model,
                dataset.train,
                valid,
                training.replace(max_epochs=epochs),
                stage="trial",
                seed=seed,
                checkpoint_dir=scratch,
                windows=dataset.statistics.windows,
            )
        gains.append(_gains(model, valid, dataset))
        keras.backend.clear_session()
    return paired_test(*gains, seed=seed)


def _gains(model: NextItemModel, valid: Histories, dataset: Dataset) -> np.ndarray:
    split = EvaluationSplit(valid, dataset.num_items, dataset.max_length, dataset.seen)
    ranks = rank_full(model_scorer(model), split).ranks
    return gains_of_ranks(ranks)
