"""Whether the scene has changed since the newest version of a folder's runs was pushed."""

import json
import os
from collections.abc import Callable
from typing import Any

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.report.page import read_checks, read_facts, run_page
from adarec_tf.report.titles import read_titles
from components.scene_watch import watch_scene
from pipeline.workdir import Workdir


def watch_run(
    data_path: str | os.PathLike[str] | None,
    folder: Workdir,
    config: WatchConfig,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Checks a log against the newest version; the folder's report and `watch.jsonl` have it.

    Args:
      data_path: the log, with the events that were trained on; None for that of the folder's runs.
      folder: of the runs.
      config: the limits.
      say: shows the user a line.

    Returns:
      What was found, as in `watch.jsonl`.

    Raises:
      ValueError: nothing was pushed, or the log cannot be read, or has too few new events.
    """
    if not folder.config.is_file():
        raise ValueError(
            f"--workdir should be the folder of a run. Received: {folder.root}, where there is "
            "none; run `adarec run` first."
        )
    given = json.loads(folder.config.read_text("utf-8"))
    path = given["data_path"] if data_path is None else os.path.abspath(data_path)
    if path is None:
        raise ValueError(
            "--data should name a log with events after those of the run, whose own log was "
            "generated. Received: no --data."
        )
    model_name = PipelineConfig.from_dict(given["config"]).serving.model_name
    record = watch_scene(path, folder.serving(model_name), config, say)
    with folder.watch.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    _write_page(folder, given["item_titles"])
    return record


def _write_page(folder: Workdir, item_titles: str) -> None:
    """Writes the report of the folder anew, with all its checks."""
    if folder.report_facts.is_file():
        titles = read_titles(item_titles) if item_titles else {}
        page = run_page(read_facts(folder.report_facts), titles, read_checks(folder.watch))
        folder.report.write_text(page, "utf-8")
