"""Whether the scene has changed since the last blessed run of a folder."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfx.types.artifact import Artifact

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.dataset import Dataset, OrderedLog, order_log
from adarec_tf.data.log.readers import InteractionColumns
from adarec_tf.data.log.spans import list_log_files
from adarec_tf.evaluation.uncertainty import Interval
from adarec_tf.export.recommender import Recommender
from adarec_tf.models.students.genotype import read_genotype
from adarec_tf.report.page import read_checks, read_facts, run_page
from adarec_tf.report.titles import read_titles
from adarec_tf.watch.genotype_trial import compare_genotypes, runner_up
from adarec_tf.watch.next_items import K
from adarec_tf.watch.scene_check import FINE, SceneCheck, check_scene
from components import artifacts
from components.model_artifact import bundle_dir, read_vocabulary
from components.recipes import read_recipe
from components.scene_anomalies import find_anomalies
from pipeline.results import RunRecord, is_blessed, read_runs
from pipeline.workdir import Workdir


def watch_run(
    data_path: str | os.PathLike[str] | None,
    folder: Workdir,
    config: WatchConfig,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Checks a log against the last blessed run; the folder's report and `watch.jsonl` have it.

    Args:
      data_path: the log, with the events that were trained on; None for that of the folder's runs.
      folder: of the runs.
      config: the limits.
      say: shows the user a line.

    Returns:
      What was found, as in `watch.jsonl`.

    Raises:
      ValueError: no run was blessed, or the log cannot be read, or has no new events.
    """
    run = _last_blessed(folder)
    given = json.loads(folder.config.read_text("utf-8"))
    settings = PipelineConfig.from_dict(given["config"])
    path = given["data_path"] if data_path is None else os.path.abspath(data_path)
    if path is None:
        raise ValueError(
            "--data should name a log with events after those of the run, whose own log was "
            "generated. Received: no --data."
        )
    found = _check(run, path, settings, config, say)
    when = datetime.fromtimestamp(run.started_at, UTC)
    record = {
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": when.isoformat(timespec="seconds"),
        "log": str(path),
        **found.to_dict(),
    }
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


def _last_blessed(folder: Workdir) -> RunRecord:
    blessed = [run for run in read_runs(folder.metadata) if is_blessed(run)]
    if not blessed:
        raise ValueError(
            f"--workdir should be the folder of a run whose student was blessed. Received: "
            f"{folder.root}, where there is none; run `adarec run` first."
        )
    return blessed[-1]


def _check(
    run: RunRecord,
    path: str,
    settings: PipelineConfig,
    config: WatchConfig,
    say: Callable[[str], None],
) -> SceneCheck:
    outputs = run.outputs
    examples = outputs["InteractionsGen"]["examples"]
    since = examples.get_float_custom_property("largest_time")
    say("Reading the log.")
    log = order_log(path, settings.data, settings.spans)
    say("Predicting new events.")
    found = check_scene(
        log,
        Recommender.load(bundle_dir(outputs["StudentDistiller"]["model"].uri)),
        read_vocabulary(outputs["SequencePreprocessor"]["vocabulary"].uri),
        since=since,
        blessed=_blessed_ndcg(outputs["RankingEvaluator"]["evaluation"]),
        data=settings.data,
        config=config,
        seed=settings.seed,
    )
    anomalies = find_anomalies(
        list_log_files(path, settings.spans),
        InteractionColumns.of_config(settings.data),
        since=since,
        time_scale=log.time_scale,
        schema_dir=outputs["SchemaGen"]["schema"].uri,
        statistics_dir=outputs["StatisticsGen"]["statistics"].uri,
    )
    found = found.with_anomalies(anomalies)
    if found.answer == FINE:
        return found
    say("Comparing the genotype with its runner-up.")
    return _with_trial(found, run, log, settings, config)


def _blessed_ndcg(evaluation: Artifact) -> dict[str, Interval]:
    """What student and Markov had on the test targets."""
    metrics = json.loads(Path(evaluation.uri, artifacts.METRICS_FILE).read_text("utf-8"))
    return {
        model: Interval(**metrics["intervals"][model][f"ndcg@{K}/full"])
        for model in ("student", "markov")
    }


def _with_trial(
    found: SceneCheck,
    run: RunRecord,
    log: OrderedLog,
    settings: PipelineConfig,
    config: WatchConfig,
) -> SceneCheck:
    """Compares the genotype with its runner-up, where it has one."""
    searched = Path(run.outputs["StudentSearcher"]["genotype"].uri)
    trace = searched / artifacts.SEARCH_TRACE_FILE
    lines = trace.read_text("utf-8").splitlines() if trace.exists() else []
    kept = read_genotype(str(searched / artifacts.GENOTYPE_FILE))
    other = runner_up(kept, [json.loads(line) for line in lines])
    if other is None:
        return found
    recipe = read_recipe(run.outputs["StudentSearcher"]["student_recipe"].uri)
    decided = settings.with_recipe(recipe)
    trial = compare_genotypes(
        kept,
        other,
        Dataset.from_ordered(log, decided.data),
        student=decided.student,
        training=decided.training,
        epochs=config.trial_epochs,
        seed=decided.seed,
    )
    return found.with_trial(trial)
