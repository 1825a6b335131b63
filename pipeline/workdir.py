"""The folder of a run: what lies where, and that one run at a time writes to it.

Paths are relative to the folder:

- `data/`: the generated log of a built-in scene
- `pipeline/`: the artifacts of every stage
- `metadata.sqlite`: which artifacts were made from what (ML Metadata)
- `checkpoints/`: where an interrupted stage continues
- `tensorboard/<stage>/`: losses and metrics, epoch by epoch, of the last training of a stage
- `serving/<model>/<version>/`: pushed versions, as TensorFlow Serving expects them
- `logs/`: one file a run, with everything that was written
- `config.json`: settings, seed, path of the raw log and package versions of the last run
- `recipe.json`: what was decided for the scene, and why; `--recipe` takes it
- `result.json`: figures of the last finished run
- `watch.jsonl`: what `adarec watch` found, a line a check
- `report.html`: the same for people, with pictures; `report.json`: what it says
"""

import contextlib
import fcntl
import glob
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from adarec_tf.config.pipeline import PipelineConfig

_VERSIONED_PACKAGES = (
    "adarec-tf",
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "ml-metadata",
    "tensorflow-recommenders",
    "POT",
    "numpy",
)


class Workdir:
    """The paths of a run's folder.

    Args:
      root: the folder, which need not exist yet.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        # Absolute: artifacts are recorded by path, and the cache compares them.
        self.root = Path(root).absolute()
        self.data = self.root / "data"
        self.pipeline = self.root / "pipeline"
        self.metadata = self.root / "metadata.sqlite"
        self.checkpoints = self.root / "checkpoints"
        self.tensorboard = self.root / "tensorboard"
        self.logs = self.root / "logs"
        self.recipe = self.root / "recipe.json"
        self.result = self.root / "result.json"
        self.report = self.root / "report.html"
        self.report_facts = self.root / "report.json"
        self.config = self.root / "config.json"
        self.watch = self.root / "watch.jsonl"

    def serving(self, model_name: str) -> Path:
        """Where the versions of a model are pushed."""
        return self.root / "serving" / model_name

    def new_log(self) -> Path:
        """The log of a run that starts now."""
        return self.logs / f"run-{datetime.now():%Y%m%d-%H%M%S-%f}.log"

    def write_config(self, config: PipelineConfig, **arguments: Any) -> None:
        """Writes what repeats the run: settings, arguments, versions of Python and key packages.

        Args:
          config: the run's settings.
          **arguments: the others of `run_pipeline`.
        """
        record = {
            "config": config.to_dict(),
            "seed": config.seed,
            **arguments,
            "python": platform.python_version(),
            "versions": {name: _version(name) for name in _VERSIONED_PACKAGES},
        }
        self.config.write_text(json.dumps(record, indent=2) + "\n", "utf-8")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder and holds its lock; the lock of a killed run is gone with it.

        Raises:
          ValueError: the folder cannot be written to, or another run holds it.
        """
        try:
            for directory in (self.root, self.logs):
                directory.mkdir(parents=True, exist_ok=True)
            lock = open(self.root / ".lock", "w")  # noqa: SIM115  (held while the run lasts)
        except OSError as error:
            raise ValueError(
                f"The workdir should be a folder that can be written to. "
                f"Received: {self.root} ({error.strerror})."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    f"The workdir should be used by one run at a time. Received: {self.root}, "
                    f"where another run is at work; wait for it or choose another --workdir."
                ) from error
            yield


def newest_pushed_models(workdirs: str) -> Path:
    """The serving folder of the run that pushed last.

    Args:
      workdirs: a folder, or a pattern of folders, such as `runs/*`.

    Raises:
      ValueError: no run has pushed.
    """
    serving = os.path.join(workdirs, "serving")
    versions = map(Path, glob.glob(os.path.join(serving, "*", "*")))
    folders = {version.parent for version in versions if version.name.isdecimal()}
    if not folders:
        raise ValueError(
            f"There should be a pushed student in {serving}. Received: none. Run `adarec run` "
            "first (its report says why a student was not blessed), or name the folder of "
            "its versions with --model-dir."
        )
    # A push renames a version into the folder, which sets the folder's time.
    return max(folders, key=lambda folder: folder.stat().st_mtime)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
