"""The figures of a finished run, collected from its artifacts into `result.json`."""

import json
import os
from pathlib import Path
from typing import Any

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from components.artifacts import (
    BUNDLE_DIR,
    FRONT_FILE,
    FRONT_PICTURE_FILE,
    GENOTYPE_FILE,
    GENOTYPE_PICTURE_FILE,
    KERAS_MODEL_FILE,
    METRICS_FILE,
    SEARCH_PICTURE_FILE,
    TRANSPORT_PICTURE_FILE,
)
from components.model_artifact import raw_histories, read_vocabulary
from pipeline.run_records import read_newest_run
from pipeline.warm_start import WarmStart

_EXAMPLE_ITEMS = 3


def collect_result(
    config: PipelineConfig,
    metadata_path: str | os.PathLike[str],
    start: WarmStart | None = None,
) -> dict[str, Any]:
    """Reads the newest run's artifacts.

    Args:
      config: of the run.
      metadata_path: its ML Metadata SQLite file.
      start: the earlier run that it continued from; None for one that did not.

    Returns:
      The content of `result.json`.
    """
    stages = read_newest_run(metadata_path)
    sequences_dir = stages["SequencePreprocessor"].outputs["sequences"].uri
    vocabulary = read_vocabulary(stages["SequencePreprocessor"].outputs["vocabulary"].uri)
    statistics = read_statistics(sequences_dir)
    student_dir = stages["StudentDistiller"].outputs["model"].uri
    genotype_dir = stages["StudentSearcher"].outputs["genotype"].uri
    pushed = stages["VersionPusher"].outputs["pushed_model"].custom_properties
    version = pushed["pushed_version"].string_value
    blessings = [
        stages[name].outputs["blessing"].custom_properties
        for name in ("RankingEvaluator", "ServerValidator")
    ]
    spans = stages["InteractionsGen"].outputs["examples"].custom_properties["spans"].string_value
    test = read_histories(sequences_dir, "test")
    [history] = raw_histories(test, vocabulary, 1)
    return {
        "scene": config.scene,
        "seed": config.seed,
        "protocol": {
            "ranking": "full",
            "split": config.data.split.replace("_", "-"),
            "targets": "test",
            "seen": statistics.seen,
            "num_users": test.num_users,
            "num_items": statistics.num_items,
            "num_interactions": statistics.num_interactions,
            "max_length": statistics.max_length,
        },
        **_read_json(stages["RankingEvaluator"].outputs["evaluation"].uri, METRICS_FILE),
        "genotype": _read_json(genotype_dir, GENOTYPE_FILE),
        "front": _read_json(genotype_dir, FRONT_FILE)
        if _path_if_made(genotype_dir, FRONT_FILE)
        else None,
        "blessed": all(blessing["blessed"].int_value == 1 for blessing in blessings),
        "blessing_reasons": [
            reason
            for blessing in blessings
            for reason in blessing["reasons"].string_value.splitlines()
        ],
        "pushed_version": int(version) if version else None,
        "spans": spans or None,
        "started_from": None if start is None else _start(start, vocabulary),
        "removed": statistics.removed,
        "seconds": {name: stage.seconds for name, stage in stages.items()},
        "paths": {
            "bundle": pushed["pushed_destination"].string_value
            or os.path.join(student_dir, BUNDLE_DIR),
            "keras_model": os.path.join(student_dir, KERAS_MODEL_FILE),
            "genotype_picture": os.path.join(genotype_dir, GENOTYPE_PICTURE_FILE),
            "search_picture": _path_if_made(genotype_dir, SEARCH_PICTURE_FILE),
            "front": _path_if_made(genotype_dir, FRONT_FILE),
            "front_picture": _path_if_made(genotype_dir, FRONT_PICTURE_FILE),
            "transport_picture": _path_if_made(student_dir, TRANSPORT_PICTURE_FILE),
        },
        "example_history": history[-_EXAMPLE_ITEMS:],
    }


def _start(start: WarmStart, vocabulary: ItemVocabulary) -> dict[str, Any]:
    num_known = ItemVocabulary.read(start.vocabulary).num_items
    return {
        **start._asdict(),
        "num_new_items": vocabulary.num_items - num_known,
    }


def _path_if_made(directory: str, name: str) -> str | None:
    path = os.path.join(directory, name)
    return path if os.path.exists(path) else None


def _read_json(directory: str, name: str) -> Any:
    return json.loads(Path(directory, name).read_text("utf-8"))
