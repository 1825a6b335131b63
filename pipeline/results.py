"""The figures of a finished run, collected from its artifacts into `result.json`."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact, Event, Execution
from tfx.orchestration import metadata

from adarec_tf.config import PipelineConfig
from adarec_tf.data.examples import read_histories, read_statistics
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

_EXAMPLE_ITEMS = 3


class _StageRecord(NamedTuple):
    """What one stage of the newest run gave.

    Attributes:
      outputs: output name to artifact.
      seconds: what computing it took, in this run or in the one whose result is reused.
    """

    outputs: dict[str, Artifact]
    seconds: float


def collect_result(config: PipelineConfig, metadata_path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the newest run's artifacts.

    Args:
      config: of the run.
      metadata_path: its ML Metadata SQLite file.

    Returns:
      The content of `result.json`.
    """
    stages = _read_stages(metadata_path)
    sequences_dir = stages["SequencePreprocessor"].outputs["sequences"].uri
    vocabulary = read_vocabulary(stages["SequencePreprocessor"].outputs["vocabulary"].uri)
    statistics = read_statistics(sequences_dir)
    student_dir = stages["StudentDistiller"].outputs["model"].uri
    genotype_dir = stages["StudentSearcher"].outputs["genotype"].uri
    pushed = stages["Pusher"].outputs["pushed_model"].custom_properties
    version = pushed["pushed_version"].string_value
    blessings = [
        stages[name].outputs["blessing"].custom_properties
        for name in ("Evaluator", "InfraValidator")
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
        **_read_json(stages["Evaluator"].outputs["evaluation"].uri, METRICS_FILE),
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


def _path_if_made(directory: str, name: str) -> str | None:
    path = os.path.join(directory, name)
    return path if os.path.exists(path) else None


def _read_json(directory: str, name: str) -> Any:
    return json.loads(Path(directory, name).read_text("utf-8"))


def _read_stages(metadata_path: str | os.PathLike[str]) -> dict[str, _StageRecord]:
    """What the stages of the newest run gave, by node id."""
    connection = metadata.sqlite_metadata_connection_config(os.fspath(metadata_path))
    with metadata.Metadata(connection) as handle:
        store = handle.store
        runs = store.get_contexts_by_type("pipeline_run")
        newest = max(runs, key=lambda run: (run.create_time_since_epoch, run.id))
        executions = {run.id: run for run in store.get_executions_by_context(newest.id)}
        outputs: dict[int, dict[str, Artifact]] = {}
        for event, artifact in _output_events(store, list(executions)):
            outputs.setdefault(event.execution_id, {})[event.path.steps[0].key] = artifact
        return {
            _node_id(store, execution_id): _StageRecord(
                artifacts, _computing_seconds(store, next(iter(artifacts.values())))
            )
            for execution_id, artifacts in sorted(outputs.items())
        }


def _output_events(store: MetadataStore, execution_ids: list[int]) -> list[tuple[Event, Artifact]]:
    events = [
        event
        for event in store.get_events_by_execution_ids(execution_ids)
        if event.type == Event.OUTPUT
    ]
    found = store.get_artifacts_by_id([event.artifact_id for event in events])
    artifacts = {artifact.id: artifact for artifact in found}
    return [(event, artifacts[event.artifact_id]) for event in events]


def _node_id(store: MetadataStore, execution_id: int) -> str:
    [node] = [c for c in store.get_contexts_by_execution(execution_id) if c.type == "node"]
    return node.name.rpartition(".")[2]


def _computing_seconds(store: MetadataStore, artifact: Artifact) -> float:
    """Duration of the execution that wrote an artifact (cached ones only point to it)."""
    events = store.get_events_by_artifact_ids([artifact.id])
    execution_ids = {event.execution_id for event in events if event.type == Event.OUTPUT}
    [writer] = [
        execution
        for execution in store.get_executions_by_id(sorted(execution_ids))
        if execution.last_known_state == Execution.COMPLETE
    ]
    return (writer.last_update_time_since_epoch - writer.create_time_since_epoch) / 1000
