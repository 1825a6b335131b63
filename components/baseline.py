"""What a pushed version was when it was blessed, for `adarec watch` to compare with.

It lies in the version's own folder, where servers look at nothing but the bundle: what serves a
student can be watched without the runs that made it, and a version that goes takes it along.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.evaluation.uncertainty import Interval
from adarec_tf.export.versions import BASELINE_DIR, find_versions
from adarec_tf.models.students.genotype import Genotype, read_genotype
from adarec_tf.watch.genotype_trial import runner_up
from adarec_tf.watch.next_items import K
from components.artifacts import GENOTYPE_FILE, METRICS_FILE, SEARCH_TRACE_FILE
from components.recipes import read_recipe

_BASELINE_FILE = "baseline.json"
_SCHEMA_FILE, _STATISTICS_FILE = "schema.pbtxt", "FeatureStats.pb"
_MODELS = ("student", "markov")


class NoBaselineError(ValueError):
    """There is no version that says what it was when it was blessed."""


class Baseline(NamedTuple):
    """What the newest version of a folder was when it was blessed.

    Attributes:
      version: its number.
      bundle: its folder.
      since: the time of the last event that it was trained on, in the log's unit.
      ndcg: NDCG@10 of `student` and `markov` on the test targets.
      config: of its run, with all that was decided.
      genotype: its architecture.
      runner_up: the best other one that the search compared; None where there was none.
      schema_path: of the events, as `SchemaGen` inferred it.
      statistics_path: of a sample of them, as `StatisticsGen` counted them.
    """

    version: int
    bundle: str
    since: float
    ndcg: Mapping[str, Interval]
    config: PipelineConfig
    genotype: Genotype
    runner_up: Genotype | None
    schema_path: str
    statistics_path: str


def write_baseline(
    directory: Path,
    *,
    since: float,
    run_config: str,
    recipe_dir: str,
    genotype_dir: str,
    evaluation_dir: str,
    schema_dir: str,
    statistics_dir: str,
) -> None:
    """Writes the files that `read_baseline` reads.

    Args:
      directory: that is pushed beside a bundle.
      since: the time of the last event of the log, in its unit.
      run_config: JSON of the run's `PipelineConfig`.
      recipe_dir: a `Recipe` artifact: what was decided.
      genotype_dir: a `Genotype` artifact.
      evaluation_dir: a `ModelEvaluation` artifact.
      schema_dir: a `Schema` artifact.
      statistics_dir: an `ExampleStatistics` artifact.
    """
    metrics = json.loads(Path(evaluation_dir, METRICS_FILE).read_text("utf-8"))
    genotype = read_genotype(os.path.join(genotype_dir, GENOTYPE_FILE))
    trace = Path(genotype_dir, SEARCH_TRACE_FILE)  # a genotype that was given has none
    lines = trace.read_text("utf-8").splitlines() if trace.exists() else []
    other = runner_up(genotype, [json.loads(line) for line in lines])
    config = PipelineConfig.from_json(run_config).with_recipe(read_recipe(recipe_dir))
    [statistics_path] = Path(statistics_dir).glob(f"Split-*/{_STATISTICS_FILE}")
    content = {
        "since": since,
        "ndcg": {model: metrics["intervals"][model][f"ndcg@{K}/full"] for model in _MODELS},
        "config": config.to_dict(),
        "genotype": genotype.to_dict(),
        "runner_up": other.to_dict() if other else None,
    }
    directory.mkdir(parents=True)
    (directory / _BASELINE_FILE).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    shutil.copyfile(Path(schema_dir, _SCHEMA_FILE), directory / _SCHEMA_FILE)
    shutil.copyfile(statistics_path, directory / _STATISTICS_FILE)


def read_baseline(serving_dir: Path) -> Baseline:
    """Reads what the newest version was when it was blessed.

    Args:
      serving_dir: the folder that a server watches.

    Raises:
      NoBaselineError: no version was pushed to it, or the newest one by something else
        or by a release with other settings.
    """
    versions = find_versions(serving_dir) if serving_dir.is_dir() else []
    if not versions:
        raise NoBaselineError(
            f"{serving_dir} should hold a pushed student to compare with. Received: none; run "
            "`adarec run` first."
        )
    bundle = serving_dir / str(versions[-1])
    directory = bundle / BASELINE_DIR
    if not (directory / _BASELINE_FILE).is_file():
        raise NoBaselineError(
            f"{bundle} should hold {BASELINE_DIR / _BASELINE_FILE}, which `adarec run` pushes with "
            "a student. Received: a version without it; run `adarec run` again."
        )
    content = json.loads((directory / _BASELINE_FILE).read_text("utf-8"))
    other = content["runner_up"]
    try:
        config = PipelineConfig.from_dict(content["config"])
    except ValueError as error:
        raise NoBaselineError(
            f"{bundle} should have the settings of this release, and was pushed by another one; "
            f"run `adarec run` again. Received: {error}"
        ) from error
    return Baseline(
        version=versions[-1],
        bundle=str(bundle),
        since=content["since"],
        ndcg={model: Interval(**content["ndcg"][model]) for model in _MODELS},
        config=config,
        genotype=Genotype.from_dict(content["genotype"]),
        runner_up=Genotype.from_dict(other) if other else None,
        schema_path=str(directory / _SCHEMA_FILE),
        statistics_path=str(directory / _STATISTICS_FILE),
    )
