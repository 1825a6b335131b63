"""The genotype against its runner-up."""

from typing import Any

import numpy as np
import pytest

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.models.students import Genotype, Student
from adarec_tf.watch import genotype_trial
from adarec_tf.watch.genotype_trial import compare_genotypes, runner_up

MIXES = Genotype.from_primitives(2, [["conv_3", "none", "conv_3"]])
REPEATS = Genotype.from_primitives(2, [["skip", "none", "skip"]])


def test_the_runner_up_is_the_best_other_finalist() -> None:
    def finalist(genotype: Genotype, ndcg: float) -> dict:
        return {"genotype": genotype.to_dict(), "ndcg@10/full": ndcg}

    third = Genotype.from_primitives(2, [["skip", "conv_3", "skip"]])
    trace = [
        {"selection": {"finalists": [finalist(third, 0.9)]}},
        {
            "selection": {
                "finalists": [finalist(third, 0.1), finalist(MIXES, 0.3), finalist(REPEATS, 0.2)]
            }
        },
    ]
    assert runner_up(MIXES, trace) == REPEATS
    assert runner_up(REPEATS, trace) == MIXES
    assert runner_up(MIXES, [{}]) is None
    assert runner_up(MIXES, []) is None


def test_both_are_trained_alike_and_the_first_is_the_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = Dataset.from_interactions(generate_sample_scene(num_users=20, num_items=60))
    trained, gains = [], {MIXES: 0.5, REPEATS: 0.25}

    def fit(
        model: Student, train: Histories, valid: Histories, config: Any, **options: Any
    ) -> None:
        trained.append((train, valid.num_users, config.max_epochs, options["seed"]))

    monkeypatch.setattr(genotype_trial, "fit", fit)
    monkeypatch.setattr(
        genotype_trial, "_gains", lambda model, *_: np.full(4, gains[model.genotype])
    )
    test = compare_genotypes(
        MIXES,
        REPEATS,
        dataset,
        student=StudentConfig(hidden_dim=8),
        training=TrainingConfig(),
        epochs=2,
        seed=3,
    )
    assert test.difference == -0.25
    assert [one[1:] for one in trained] == [(dataset.valid.num_users, 2, 3)] * 2
    assert all(one[0] is dataset.train for one in trained)
