"""Runs `recommenders_checks.py`: tensorflow-recommenders needs a process with Keras 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adarec_tf.evaluation.retrieval_baseline import gru_retrieval_scorer
from tests.adarec_tf import walk_scene

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_tensorflow_recommenders_agrees() -> None:
    checks = Path(__file__).with_name("recommenders_checks.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(checks)],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_keras_3_as_tf_keras_is_an_error_that_says_what_to_set() -> None:
    train = walk_scene.histories(9)["train"]
    with pytest.raises(ImportError, match=r"TF_USE_LEGACY_KERAS=1.*Received: Keras 3"):
        gru_retrieval_scorer(train, walk_scene.NUM_ITEMS, max_length=walk_scene.MAX_LENGTH)


def test_a_baseline_of_no_epoch_is_refused() -> None:
    train = walk_scene.histories(9)["train"]
    with pytest.raises(ValueError, match="num_epochs=0"):
        gru_retrieval_scorer(train, walk_scene.NUM_ITEMS, max_length=8, num_epochs=0)
