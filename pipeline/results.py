"""What runs gave: their artifacts, as ML Metadata has them, and the figures of `result.json`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Context, Execution
from tfx.orchestration import metadata
from tfx.orchestration.portable.mlmd import artifact_lib, event_lib, execution_lib
from tfx.types.artifact import Artifact

from adarec_tf.config.pipeline import PipelineConfig
from adarec_tf.data.histories.histories import raw_histories
from adarec_tf.data.histories.vocabulary import ItemVocabulary
from adarec_tf.data.storage.history_files import read_histories, read_statistics
from components.artifacts import (
    BUNDLE_DIR,
    FRONT_FILE,
    GENOTYPE_FILE,
    KERAS_MODEL_FILE,
    METRICS_FILE,
    REPORT_FILE,
)
from components.blessings import read_blessing
from components.model_artifact import read_vocabulary
from components.recipes import read_recipe

_EXAMPLE_ITEMS = 3


class RunRecord(NamedTuple):
    """What a run gave, finished or not.

    Attributes:
      started_at: seconds since 1970.
      outputs: of the stages that were done, by node id: output name to artifact.
    """

    started_at: float
    outputs: dict[str, dict[str, Artifact]]


def read_runs(metadata_path: str | os.PathLike[str]) -> list[RunRecord]:
    """All runs in an SQLite file of ML Metadata, oldest first; none where there is no file yet."""
    if not os.path.exists(metadata_path):
        return []
    with _metadata(metadata_path) as handle:
        runs = handle.store.get_contexts_by_type("pipeline_run")
        runs.sort(key=lambda run: (run.create_time_since_epoch, run.id))
        return [
            RunRecord(run.create_time_since_epoch / 1000, _outputs(handle, run)) for run in runs
        ]


def is_blessed(run: RunRecord) -> bool:
    """Whether the run's student may be served: both the evaluator and the server have to say so."""
    stages = [run.outputs.get(name) for name in ("RankingEvaluator", "ServerValidator")]
    return all(outputs and read_blessing(outputs["blessing"])[0] for outputs in stages)


def computing_seconds(metadata_path: str | os.PathLike[str], run: RunRecord) -> dict[str, float]:
    """What each stage of a run took, in it or in the earlier run whose result it reuses.

    Args:
      metadata_path: SQLite file of ML Metadata.
      run: one of its runs.

    Returns:
      Seconds by node id.
    """
    with _metadata(metadata_path) as handle:
        return {
            node: _seconds_of_writer(handle.store, next(iter(outputs.values())))
            for node, outputs in run.outputs.items()
        }


def _metadata(path: str | os.PathLike[str]) -> metadata.Metadata:
    return metadata.Metadata(metadata.sqlite_metadata_connection_config(os.fspath(path)))


def _outputs(handle: metadata.Metadata, run: Context) -> dict[str, dict[str, Artifact]]:
    executions = handle.store.get_executions_by_context(run.id)
    done = [one.id for one in executions if execution_lib.is_execution_successful(one)]
    events = handle.store.get_events_by_execution_ids(sorted(done))
    events = [event for event in events if event_lib.is_valid_output_event(event)]
    ids = [event.artifact_id for event in events]
    artifacts = {one.id: one for one in artifact_lib.get_artifacts_by_ids(handle, ids)}
    outputs: dict[str, dict[str, Artifact]] = {}
    for event in sorted(events, key=lambda event: event.execution_id):
        node = _node_id(handle.store, event.execution_id)
        outputs.setdefault(node, {})[event.path.steps[0].key] = artifacts[event.artifact_id]
    return outputs


def _node_id(store: MetadataStore, execution_id: int) -> str:
    [node] = [one for one in store.get_contexts_by_execution(execution_id) if one.type == "node"]
    return node.name.rpartition(".")[2]


def _seconds_of_writer(store: MetadataStore, artifact: Artifact) -> float:
    """Duration of the execution that wrote an artifact (cached ones only point to it)."""
    events = store.get_events_by_artifact_ids([artifact.id])
    ids = {event.execution_id for event in events if event_lib.is_valid_output_event(event)}
    executions = store.get_executions_by_id(sorted(ids))
    [writer] = [one for one in executions if one.last_known_state == Execution.COMPLETE]
    return (writer.last_update_time_since_epoch - writer.create_time_since_epoch) / 1000


def collect_result(
    config: PipelineConfig,
    metadata_path: str | os.PathLike[str],
    started_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Reads the newest run's artifacts.

    Args:
      config: of the run.
      metadata_path: its ML Metadata SQLite file.
      started_from: the earlier run that it continued from, with the file of its vocabulary; None
        for one that did not.

    Returns:
      The content of `result.json`.
    """
    run = read_runs(metadata_path)[-1]
    outputs = run.outputs
    sequences_dir = outputs["SequencePreprocessor"]["sequences"].uri
    vocabulary = read_vocabulary(outputs["SequencePreprocessor"]["vocabulary"].uri)
    test = read_histories(sequences_dir, "test")
    [history] = raw_histories(test, vocabulary, 1)
    genotype_dir = outputs["StudentSearcher"]["genotype"].uri
    front = _path_if_made(genotype_dir, FRONT_FILE)
    metrics = _read_json(outputs["RankingEvaluator"]["evaluation"].uri, METRICS_FILE)
    return {
        "scene": config.scene,
        "seed": config.seed,
        "protocol": _protocol(
            config,
            sequences_dir,
            num_users=metrics.pop("num_users"),
            num_test_users=test.num_users,
        ),
        **metrics,
        "genotype": _read_json(genotype_dir, GENOTYPE_FILE),
        "front": _read_json(genotype_dir, FRONT_FILE) if front else None,
        **_release(outputs),
        "spans": outputs["InteractionsGen"]["examples"].get_string_custom_property("spans") or None,
        "started_from": _with_new_items(started_from, vocabulary) if started_from else None,
        "removed": read_statistics(sequences_dir).removed,
        "seconds": computing_seconds(metadata_path, run),
        "paths": _paths(outputs),
        "example_history": history[-_EXAMPLE_ITEMS:],
    }


def recipe_of(
    config: PipelineConfig, metadata_path: str | os.PathLike[str]
) -> dict[str, Any] | None:
    """The recipe of the newest run, which `--recipe` takes; None before its student is decided.

    Args:
      config: of the run.
      metadata_path: its ML Metadata SQLite file.

    Returns:
      The scene's profile, what was decided and why, the trials, and the settings of all stages.
    """
    runs = read_runs(metadata_path)
    if not runs or "StudentSearcher" not in runs[-1].outputs:
        return None
    recipe = read_recipe(runs[-1].outputs["StudentSearcher"]["student_recipe"].uri)
    decided = config.with_recipe(recipe).to_dict()
    kept = ("compute_dtype", "data", "teacher", "training", "student", "search", "distillation")
    return {
        **recipe.to_dict(),
        "settings": {name: decided[name] for name in kept},
    }


def _protocol(
    config: PipelineConfig, sequences_dir: str, *, num_users: int, num_test_users: int
) -> dict[str, Any]:
    statistics = read_statistics(sequences_dir)
    return {
        "ranking": "full",
        "split": config.data.split.replace("_", "-"),
        "targets": "test",
        "seen": statistics.seen,
        "num_users": num_users,
        "num_test_users": num_test_users,
        "num_items": statistics.num_items,
        "num_interactions": statistics.num_interactions,
        "max_length": statistics.max_length,
    }


def _release(outputs: dict[str, dict[str, Artifact]]) -> dict[str, Any]:
    verdicts = [
        read_blessing(outputs[name]["blessing"]) for name in ("RankingEvaluator", "ServerValidator")
    ]
    version = outputs["VersionPusher"]["pushed_model"].get_string_custom_property("pushed_version")
    return {
        "blessed": all(is_blessed for is_blessed, _ in verdicts),
        "blessing_reasons": [reason for _, reasons in verdicts for reason in reasons],
        "pushed_version": int(version) if version else None,
    }


def _with_new_items(started_from: Mapping[str, Any], vocabulary: ItemVocabulary) -> dict[str, Any]:
    num_known = ItemVocabulary.read(started_from["vocabulary"]).num_items
    return {**started_from, "num_new_items": vocabulary.num_items - num_known}


def _paths(outputs: dict[str, dict[str, Artifact]]) -> dict[str, str | None]:
    student_dir = outputs["StudentDistiller"]["model"].uri
    genotype_dir = outputs["StudentSearcher"]["genotype"].uri
    pushed = outputs["VersionPusher"]["pushed_model"]
    return {
        "bundle": pushed.get_string_custom_property("pushed_destination")
        or os.path.join(student_dir, BUNDLE_DIR),
        "keras_model": os.path.join(student_dir, KERAS_MODEL_FILE),
        "front": _path_if_made(genotype_dir, FRONT_FILE),
        "report": _path_if_made(outputs["ReportWriter"]["report"].uri, REPORT_FILE),
    }


def _path_if_made(directory: str, name: str) -> str | None:
    path = os.path.join(directory, name)
    return path if os.path.exists(path) else None


def _read_json(directory: str, name: str) -> Any:
    return json.loads(Path(directory, name).read_text("utf-8"))
