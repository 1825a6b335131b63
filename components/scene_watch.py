"""SceneWatch: new events of a log, a pushed version → has the scene changed, and what to do.

On Kubeflow it is the gate of a recurring run: where all is fine, no other step is run.
"""

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio

from adarec_tf.config.watch import WatchConfig
from adarec_tf.data.dataset import Dataset, order_log
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.log.readers import InteractionColumns
from adarec_tf.data.log.spans import list_log_files
from adarec_tf.export.bundle import VOCABULARY_FILE
from adarec_tf.export.recommender import Recommender
from adarec_tf.watch.genotype_trial import compare_genotypes
from adarec_tf.watch.scene_check import FINE, NoNewEventsError, check_scene
from components import artifacts
from components.baseline import NoBaselineError, read_baseline
from components.scene_anomalies import find_anomalies

logger = logging.getLogger(__name__)


def watch_scene(
    data_path: str, serving_dir: Path, config: WatchConfig, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compares the events after those that the newest version was trained on with it.

    Args:
      data_path: the log, with the events that it was trained on.
      serving_dir: the folder of its versions.
      config: the limits.
      say: is told what is done.

    Returns:
      What was found, as in `watch.jsonl`.

    Raises:
      NoBaselineError: there is no version to compare with.
      NoNewEventsError: there are too few events to look at.
      ValueError: the log cannot be read, or has not the events that the version was trained on.
    """
    baseline = read_baseline(serving_dir)
    say("Reading the log.")
    log = order_log(data_path, baseline.config.data, baseline.config.spans)
    say("Predicting new events.")
    found = check_scene(
        log,
        Recommender.load(baseline.bundle),
        ItemVocabulary.read(os.path.join(baseline.bundle, "assets", VOCABULARY_FILE)),
        since=baseline.since,
        blessed=baseline.ndcg,
        data=baseline.config.data,
        config=config,
        seed=baseline.config.seed,
    )
    anomalies = find_anomalies(
        list_log_files(data_path, baseline.config.spans),
        InteractionColumns.of_config(baseline.config.data),
        since=baseline.since,
        time_scale=log.time_scale,
        schema_path=baseline.schema_path,
        statistics_path=baseline.statistics_path,
    )
    found = found.with_anomalies(anomalies)
    other = baseline.runner_up
    if found.answer != FINE and other is not None:
        say("Comparing the genotype with its runner-up.")
        trial = compare_genotypes(
            baseline.genotype,
            other,
            Dataset.from_ordered(log, baseline.config.data),
            student=baseline.config.student,
            training=baseline.config.training,
            epochs=config.trial_epochs,
            seed=baseline.config.seed,
        )
        found = found.with_trial(trial)
    return {
        "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": baseline.version,
        "log": data_path,
        **found.to_dict(),
    }


@component
def SceneWatch(  # noqa: N802 (a component is named as a class)
    check: OutputArtifact[artifacts.SceneCheck],
    data_path: Parameter[str],
    serving_dir: Parameter[str],
    watch_config: Parameter[str],
    code_fingerprint: Parameter[str],
) -> None:
    """Says whether anything is to be done; where there is nothing to compare with, it is.

    Args:
      check: `check.json`, and the property `retrain`.
      data_path: a file or folder of raw interactions, or a pattern of daily folders.
      serving_dir: the folder of the versions.
      watch_config: JSON of `WatchConfig`.
      code_fingerprint: of the code this runs, so that the cache sees changes.
    """
    del code_fingerprint  # a part of the cache key alone
    config = WatchConfig.from_json(watch_config)
    found: dict[str, Any]
    try:
        found = watch_scene(data_path, Path(serving_dir), config, logger.info)
        retrain = found["answer"] != FINE
    except NoBaselineError as error:
        found, retrain = {"reasons": [str(error)]}, True
    except NoNewEventsError as error:
        found, retrain = {"answer": FINE, "reasons": [str(error)]}, False
    for reason in found["reasons"]:
        logger.info("%s", reason)
    fileio.makedirs(check.uri)
    with fileio.open(os.path.join(check.uri, artifacts.CHECK_FILE), "w") as file:
        file.write(json.dumps(found, indent=2) + "\n")
    check.set_int_custom_property("retrain", int(retrain))
