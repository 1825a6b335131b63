"""Where the Beam stages of a local run are done, apart from what they are.

TFX hashes a stage's Beam arguments into its cache key: another runner, or another number of
workers, would make every result stale, and the teacher would be trained again on equal bytes. What
the stages write does not depend on the runner, so the cache is not told of these arguments.
"""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

from tfx.orchestration.portable import launcher
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec


@contextlib.contextmanager
def beam_arguments(arguments: Sequence[str]) -> Iterator[None]:
    """Stages launched in this block get these Beam arguments after those of the pipeline.

    Args:
      arguments: `--name=value` or `--flag`; Beam takes the last of a name.
    """

    class Operator(BeamExecutorOperator):
        def __init__(self, executor_spec: BeamExecutableSpec, platform_config: Any = None) -> None:
            spec = copy.deepcopy(executor_spec)  # the launcher hashes its own
            for argument in arguments:
                spec.beam_pipeline_args_placeholders.add().value.string_value = argument
            super().__init__(spec, platform_config)

    # The runner has no parameter for it; what it calls has this table.
    operators = launcher.DEFAULT_EXECUTOR_OPERATORS
    before = operators[BeamExecutableSpec]
    operators[BeamExecutableSpec] = Operator
    try:
        yield
    finally:
        operators[BeamExecutableSpec] = before
