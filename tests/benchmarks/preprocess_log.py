"""A log to split histories by the pipeline's own components, without the rest of a run.

    python tests/benchmarks/preprocess_log.py --log log.parquet --output folder

runs InteractionsGen, StatisticsGen and SequencePreprocessor with the pipeline's Beam arguments in
this process and prints the seconds of each, and of the imports, as JSON.
"""

import argparse
import json
import time

START = time.perf_counter()

from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import apache_beam as beam  # noqa: E402
from tfx.components.statistics_gen.executor import Executor as StatisticsGenExecutor  # noqa: E402
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor  # noqa: E402
from tfx.types import standard_artifacts  # noqa: E402

from adarec_tf.config import DataConfig  # noqa: E402
from components.beam_arguments import DEFAULT_ARGUMENTS  # noqa: E402
from components.interactions_gen import (  # noqa: E402
    SPLIT,
    InteractionsGenExecutor,
    interactions_gen,
)
from components.sequence_preprocessor import preprocess  # noqa: E402


def run(log: Path, output: Path, beam_args: Sequence[str]) -> dict[str, Any]:
    """Runs the components one after the other; gives their seconds and what is left of the log."""
    examples, statistics = standard_artifacts.Examples(), standard_artifacts.ExampleStatistics()
    examples.uri, statistics.uri = str(output / "examples"), str(output / "statistics")

    def make_pipeline() -> beam.Pipeline:
        return beam.Pipeline(argv=list(beam_args))

    context = BaseBeamExecutor.Context(make_beam_pipeline_fn=make_pipeline)
    clock = [START, time.perf_counter()]
    properties: dict[str, Any] = dict(interactions_gen(str(log)).spec.exec_properties)
    InteractionsGenExecutor(context).Do({}, {"examples": [examples]}, properties)
    clock.append(time.perf_counter())
    StatisticsGenExecutor(context).Do(
        {"examples": [examples]},
        {"statistics": [statistics]},
        {"exclude_splits": json.dumps([SPLIT])},
    )
    clock.append(time.perf_counter())
    found = preprocess(
        make_pipeline(),
        f"{examples.uri}/Split-{SPLIT}",
        str(output / "sequences"),
        str(output / "vocabulary"),
        DataConfig(),
    )
    clock.append(time.perf_counter())
    names = ("imports", "interactions_gen", "statistics_gen", "sequence_preprocessor")
    seconds = {
        f"{name}_s": round(after - before, 2)
        for name, before, after in zip(names, clock[:-1], clock[1:], strict=True)
    }
    counts = ("num_users", "num_items", "num_interactions", "removed", "data_fingerprint")
    return {**seconds, **{name: getattr(found, name) for name in counts}}


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--beam-args", nargs="*", default=DEFAULT_ARGUMENTS)
    options = parser.parse_args()
    print(json.dumps(run(options.log, options.output, options.beam_args)))


if __name__ == "__main__":
    main()
