"""What the runs of a workdir gave, as ML Metadata has it."""

import os
from typing import NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact, Context, Event, Execution
from tfx.orchestration import metadata

# Output name to artifact.
Outputs = dict[str, Artifact]


class StageRecord(NamedTuple):
    """What one stage of a run gave.

    Attributes:
      outputs: output name to artifact.
      seconds: what computing it took, in this run or in the one whose result is reused.
    """

    outputs: Outputs
    seconds: float


class RunRecord(NamedTuple):
    """What a run gave, finished or not.

    Attributes:
      started_at: seconds since 1970.
      outputs: of the stages that were done, by node id.
    """

    started_at: float
    outputs: dict[str, Outputs]


def read_newest_run(metadata_path: str | os.PathLike[str]) -> dict[str, StageRecord]:
    """What the stages of the newest run gave, by node id."""
    with metadata.Metadata(_connection(metadata_path)) as handle:
        store = handle.store
        newest = max(store.get_contexts_by_type("pipeline_run"), key=_age)
        return {
            node: StageRecord(outputs, _computing_seconds(store, next(iter(outputs.values()))))
            for node, outputs in _outputs(store, newest).items()
        }


def read_runs(metadata_path: str | os.PathLike[str]) -> list[RunRecord]:
    """All runs, oldest first; none where there is no file yet."""
    if not os.path.exists(metadata_path):
        return []
    with metadata.Metadata(_connection(metadata_path)) as handle:
        store = handle.store
        runs = sorted(store.get_contexts_by_type("pipeline_run"), key=_age)
        return [RunRecord(run.create_time_since_epoch / 1000, _outputs(store, run)) for run in runs]


def _connection(metadata_path: str | os.PathLike[str]) -> metadata.ConnectionConfigType:
    return metadata.sqlite_metadata_connection_config(os.fspath(metadata_path))


def _age(run: Context) -> tuple[int, int]:
    return run.create_time_since_epoch, run.id


def _outputs(store: MetadataStore, run: Context) -> dict[str, Outputs]:
    done = (Execution.COMPLETE, Execution.CACHED)
    executions = [
        execution.id
        for execution in store.get_executions_by_context(run.id)
        if execution.last_known_state in done
    ]
    outputs: dict[int, Outputs] = {}
    for event, artifact in _output_events(store, executions):
        outputs.setdefault(event.execution_id, {})[event.path.steps[0].key] = artifact
    return {_node_id(store, number): found for number, found in sorted(outputs.items())}


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
