"""Where the raw log of a scene comes from: a file the user has, or a generator."""

import os
from pathlib import Path

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.built_in import write_sample_scene
from adarec_tf.data.log.readers import list_input_files
from adarec_tf.data.log.spans import choose_spans, describe_spans, is_span_pattern

# Scenes that need no file, and the arguments of the generator.
GENERATED_SCENES: dict[str, dict[str, int]] = {
    "sample": {},
    "smoke": {"num_users": 200, "num_items": 150},
}


def check_data_path(
    scene: str, data_path: str | os.PathLike[str] | None, spans: SpansConfig | None = None
) -> str:
    """Checks before anything is started that there is a log.

    Args:
      scene: its name.
      data_path: given by the user, or None.
      spans: which daily folders are read; all up to the newest if None.

    Returns:
      Which daily folders are read, in a line; "" where the log has none.

    Raises:
      ValueError: a path is missing, leads nowhere, or to files of a kind that cannot be read; daily
        folders cannot be chosen, or are to be where there are none.
    """
    if data_path is None and scene not in GENERATED_SCENES:
        raise ValueError(
            f"The scene {scene!r} should have its log given with --data: a CSV, TSV or Parquet "
            f"file, or a folder of them. Received: no --data; without it there are "
            f"{', '.join(sorted(GENERATED_SCENES))}."
        )
    if data_path is not None and is_span_pattern(data_path):
        return describe_spans(choose_spans(data_path, spans or SpansConfig()))
    if spans is not None and spans != SpansConfig():
        raise ValueError(
            "`spans` should be left as it is by default for a log without daily folders, which "
            "--data names as in logs/{YYYY}-{MM}-{DD}/*. "
            f"Received: {'no --data' if data_path is None else os.fspath(data_path)}."
        )
    if data_path is None:
        return ""
    if not Path(data_path).exists():
        raise ValueError(
            f"--data should be an existing file or folder. Received: {os.fspath(data_path)}."
        )
    list_input_files(os.fspath(data_path))
    return ""


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
