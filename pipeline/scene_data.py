"""Where the raw log of a scene comes from: a file the user has, or a generator."""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from adarec_tf.config.data import DataConfig
from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.histories.sessions import check_time_unit
from adarec_tf.data.log.built_in import (
    generate_habits_scene,
    generate_large_scene,
    generate_sample_scene,
    generate_sessions_scene,
    write_scene,
)
from adarec_tf.data.log.interactions import inspect_log
from adarec_tf.data.log.readers import InteractionColumns, list_input_files, needs_tensorflow
from adarec_tf.data.log.spans import choose_spans, describe_spans, is_span_pattern

# Scenes that need no file, and their generators.
GENERATED_SCENES: dict[str, Callable[[], pa.Table]] = {
    "sample": generate_sample_scene,
    "smoke": functools.partial(generate_sample_scene, num_users=200, num_items=150),
    "habits": generate_habits_scene,
    "sessions": generate_sessions_scene,
    "large": generate_large_scene,
}


def check_log(config: PipelineConfig, data_path: str | os.PathLike[str] | None) -> str:
    """Checks before anything is started that there is a log, and how it begins.

    Args:
      config: names the scene, the log's columns, and which daily folders are read.
      data_path: given by the user, or None.

    Returns:
      Which daily folders are read, in a line; "" where the log has none.

    Raises:
      ValueError: a path is missing, leads nowhere, or to files of a kind that cannot be read; daily
        folders cannot be chosen, or are to be where there are none; a column is missing, or one of
        the first rows is bad.
    """
    if data_path is None and config.scene not in GENERATED_SCENES:
        raise ValueError(
            f"The scene {config.scene!r} should have its log given with --data: a CSV, TSV or "
            f"Parquet file, or a folder of them. Received: no --data; without it there are "
            f"{', '.join(sorted(GENERATED_SCENES))}."
        )
    if data_path is not None and is_span_pattern(data_path):
        spans = choose_spans(data_path, config.spans)
        _check_first_rows([file for span in spans for file in span.files], config.data)
        return describe_spans(spans)
    if config.spans != SpansConfig():
        raise ValueError(
            "`spans` should be left as it is by default for a log without daily folders, which "
            "--data names as in logs/{YYYY}-{MM}-{DD}/*. "
            f"Received: {'no --data' if data_path is None else os.fspath(data_path)}."
        )
    if data_path is not None:
        _check_first_rows(list_input_files(os.fspath(data_path)), config.data)
    return ""


def _check_first_rows(files: Sequence[str], config: DataConfig) -> None:
    """Reads the first block of the first file and of the last, which is the newest of a daily log.

    TFRecord files are left to the run: TensorFlow alone reads them.
    """
    ends = [file for file in dict.fromkeys((files[0], files[-1])) if not needs_tensorflow(file)]
    if ends:
        start = inspect_log(ends, InteractionColumns.of_config(config), max_blocks=1)
        check_time_unit(config, start.largest_time)


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
    path = generated_dir / f"{scene}.{'parquet' if scene == 'large' else 'csv.gz'}"
    generated_dir.mkdir(parents=True, exist_ok=True)
    # Always anew: equal arguments give equal bytes, and an interrupted write is repaired.
    write_scene(str(path), GENERATED_SCENES[scene]())
    return str(path)
