"""Without an extra everything else is imported, and what needs the extra says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adarec_tf.config.extras import MissingExtraError, require_extra

ROOT = Path(__file__).parents[2]
# What the extras bring and the core does not. gRPC and rich come with TensorFlow and Keras.
EXTRAS = ("apache_beam", "click", "keras_tuner", "matplotlib", "prometheus_client")
EXTRAS += ("tensorboard", "tensorflow_recommenders", "tensorflow_serving", "tfx")
CODE = f"""
import importlib, json, pkgutil, sys

sys.modules.update(dict.fromkeys({EXTRAS!r}))  # None: no such module
import adarec_tf

errors = {{}}
for module in pkgutil.walk_packages(adarec_tf.__path__, "adarec_tf.", onerror=lambda name: None):
    if module.name != "adarec_tf.__main__":
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            errors[module.name] = str(error)
print(json.dumps(errors))
"""


def test_the_core_is_imported_without_any_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "adarec_tf.cli": str(MissingExtraError("pipeline", ["click"])),
        "adarec_tf.report": str(MissingExtraError("report", ["matplotlib"])),
        "adarec_tf.tuning.candidates": str(MissingExtraError("tuning", ["keras_tuner"])),
        "adarec_tf.tuning.teacher_tuner": str(MissingExtraError("tuning", ["keras_tuner"])),
        "adarec_tf.tuning.trials": str(MissingExtraError("tuning", ["keras_tuner"])),
        "adarec_tf.watch.metrics": str(MissingExtraError("serving", ["prometheus_client"])),
    }


def test_a_missing_extra_is_named() -> None:
    require_extra("report", "json")
    with pytest.raises(MissingExtraError, match=r"pip install 'adarec-tf\[report\]'.*: no_such\.$"):
        require_extra("report", "json", "no_such")
