"""Beam arguments reach the stages of a local run, and leave its cache alone."""

from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions
from tfx import v1 as tfx
from tfx.dsl.component.experimental.annotations import BeamComponentParameter

from pipeline.local_runner import uncached_beam_arguments

SEEN: list[int] = []


@tfx.dsl.components.component(use_beam=True)
def Recorder(  # noqa: N802 (a component is named as a class)
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Notes how many workers it was given."""
    SEEN.append(beam_pipeline.options.view_as(DirectOptions).direct_num_workers)


def run(folder: Path, *arguments: str) -> list[int]:
    """Runs the recorder; returns what it saw, which is nothing if its result was cached."""
    pipeline = tfx.dsl.Pipeline(
        *("p", str(folder / "pipeline")),
        components=[Recorder()],
        enable_cache=True,
        metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
            str(folder / "metadata.sqlite")
        ),
        beam_pipeline_args=["--runner=FnApiRunner", "--direct_num_workers=2"],
    )
    SEEN.clear()
    with uncached_beam_arguments(arguments):
        tfx.orchestration.LocalDagRunner().run(pipeline)
    return list(SEEN)


def test_another_number_of_workers_is_used_but_makes_no_result_stale(tmp_path: Path) -> None:
    assert run(tmp_path / "a", "--direct_num_workers=3") == [3]
    assert run(tmp_path / "a", "--direct_num_workers=4") == []
    assert run(tmp_path / "a") == []
    assert run(tmp_path / "b") == [2]  # of the pipeline: the block's are gone
