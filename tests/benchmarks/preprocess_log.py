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

from adarec_tf.config.data import DataConfig  # noqa: E402
from adarec_tf.data.histories.statistics import SequenceStatistics  # noqa: E402
from adarec_tf.data.log.readers import InteractionColumns  # noqa: E402
from components.beam_arguments import DEFAULT_ARGUMENTS  # noqa: E402
from components.interactions_gen import (  # noqa: E402
    SPLIT,
    InteractionsGenExecutor,
    interactions_gen,
)
from components.sequence_preprocessor import preprocess  # noqa: E402


def run(log: Path, output: Path, beam_args: Sequence[str]) -> dict[str, Any]:
    """Runs the components one after the other; gives their seconds and what is left of the log."""
    config, clock = DataConfig(), [START, time.perf_counter()]
    examples = write_blocks(log, output, config, beam_args)
    clock.append(time.perf_counter())
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(output / "statistics")
    StatisticsGenExecutor(_context(beam_args)).Do(
        {"examples": [examples]},
        {"statistics": [statistics]},
        {"exclude_splits": json.dumps([SPLIT])},
    )
    clock.append(time.perf_counter())
    found = write_sequences(examples, output, config, beam_args)
    clock.append(time.perf_counter())
    names = ("imports", "interactions_gen", "statistics_gen", "sequence_preprocessor")
    seconds = {
        f"{name}_s": round(after - before, 2)
        for name, before, after in zip(names, clock[:-1], clock[1:], strict=True)
    }
    counts = ("num_users", "num_items", "num_interactions", "removed", "data_fingerprint")
    return {**seconds, **{name: getattr(found, name) for name in counts}}


def write_blocks(
    log: Path, output: Path, config: DataConfig, beam_args: Sequence[str]
) -> standard_artifacts.Examples:
    """InteractionsGen: the log to blocks in `examples`."""
    examples = standard_artifacts.Examples()
    examples.uri = str(output / "examples")
    component = interactions_gen(str(log), InteractionColumns.of_config(config))
    properties: dict[str, Any] = dict(component.spec.exec_properties)
    InteractionsGenExecutor(_context(beam_args)).Do({}, {"examples": [examples]}, properties)
    return examples


def write_sequences(
    examples: standard_artifacts.Examples,
    output: Path,
    config: DataConfig,
    beam_args: Sequence[str],
) -> SequenceStatistics:
    """SequencePreprocessor: blocks to `sequences` and `vocabulary`."""
    return preprocess(
        beam.Pipeline(argv=list(beam_args)),
        f"{examples.uri}/Split-{SPLIT}",
        str(output / "sequences"),
        str(output / "vocabulary"),
        config,
        examples.get_int_custom_property("time_scale") or 1,
    )


def _context(beam_args: Sequence[str]) -> BaseBeamExecutor.Context:
    return BaseBeamExecutor.Context(
        make_beam_pipeline_fn=lambda: beam.Pipeline(argv=list(beam_args))
    )


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
