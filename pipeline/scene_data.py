"""Where the raw log of a scene comes from: a file the user has, or a generator."""

import os
from pathlib import Path

from adarec_tf.data.datasets import write_sample_scene
from adarec_tf.data.interactions import list_input_files

# Scenes that need no file, and the arguments of the generator.
GENERATED_SCENES: dict[str, dict[str, int]] = {
    "sample": {},
    "smoke": {"num_users": 200, "num_items": 150},
}


def check_data_path(scene: str, data_path: str | os.PathLike[str] | None) -> None:
    """Checks before anything is started that there is a log.

    Raises:
      ValueError: a path is missing, leads nowhere, or to files of a kind that cannot be read.
    """
    if data_path is None and scene not in GENERATED_SCENES:
        raise ValueError(
            f"The scene {scene!r} should have its log given with --data: a CSV, TSV or Parquet "
            f"file, or a folder of them. Received: no --data; without it there are "
            f"{', '.join(sorted(GENERATED_SCENES))}."
        )
    if data_path is None:
        return
    if not Path(data_path).exists():
        raise ValueError(
            f"--data should be an existing file or folder. Received: {os.fspath(data_path)}."
        )
    list_input_files(os.fspath(data_path))


def locate_data(scene: str, data_path: str | os.PathLike[str] | None, generated_dir: Path) -> str:
    """The path of the scene's log, which is generated if no path is given.

    Args:
      scene: its name.
      data_path: given by the user, or None.
      generated_dir: where a generated log is kept.

    Returns:
      A file or folder.
    """
    if data_path is not None:
        return os.fspath(data_path)
    path = generated_dir / f"{scene}.csv.gz"
    generated_dir.mkdir(parents=True, exist_ok=True)
    # Always anew: equal arguments give equal bytes, and an interrupted write is repaired.
    write_sample_scene(str(path), **GENERATED_SCENES[scene])
    return str(path)
