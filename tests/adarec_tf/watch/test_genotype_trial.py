"""The genotype against its runner-up."""

import pytest

from adarec_tf.config.student import StudentConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.log.built_in import generate_sample_scene
from adarec_tf.models.students import Genotype
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


def test_both_are_trained_alike_and_the_first_is_the_other_one() -> None:
    dataset = Dataset.from_interactions(generate_sample_scene(num_users=150, num_items=60))

    def compare(kept: Genotype, other: Genotype) -> float:
        test = compare_genotypes(
            kept,
            other,
            dataset,
            student=StudentConfig(hidden_dim=8),
            training=TrainingConfig(),
            epochs=2,
            seed=0,
        )
        return test.difference

    difference = compare(MIXES, REPEATS)
    assert difference != 0
    assert compare(REPEATS, MIXES) == pytest.approx(-difference)
