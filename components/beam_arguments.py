"""Beam's arguments, checked by Beam's own parser and validator before a run starts.

An option that no part of Beam knows would be ignored by Beam; here it is an error that names it.
"""

import contextlib
import io
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

# Beam's default runner looks for a Go binary on the internet before it falls back to this one. Its
# workers are threads (processes would import TensorFlow anew), and as each holds a block of the log
# there are few.
DEFAULT_ARGUMENTS = (
    "--runner=FnApiRunner",
    "--direct_running_mode=multi_threading",
    "--direct_num_workers=2",
)

# Flink's job server alone knows these, and Beam asks it only when a job is on its way.
# https://beam.apache.org/documentation/runners/flink/#pipeline-options-for-the-flink-runner
_FLINK_OPTIONS = {
    "disable_metrics",
    "execution_mode_for_batch",
    "execution_retry_delay",
    "faster_copy",
    "flink_conf_dir",
    "max_bundle_size",
    "max_bundle_time_mills",
    "number_of_execution_retries",
    "object_reuse",
    "operator_chaining",
    "re_iterable_group_by_key_result",
}


def check_beam_arguments(arguments: Sequence[str]) -> None:
    """Checks that Beam takes the arguments and ignores none of them; nothing is started.

    Args:
      arguments: `--name=value` or `--flag`; added to the defaults, and the last of a name counts.

    Raises:
      ValueError: a runner or an option is unknown, or a value is missing or not allowed.
    """
    refusal = io.StringIO()  # argparse prints why it refuses a value, and exits
    try:
        with contextlib.redirect_stderr(refusal):
            options = PipelineOptions([*DEFAULT_ARGUMENTS, *arguments])
            known = set(options.get_all_options())
            ignored = set(options.get_all_options(retain_unknown_options=True)) - known
        runner = options.view_as(StandardOptions).runner
        create_runner(runner)
    except (ImportError, SystemExit, ValueError) as error:
        reason = refusal.getvalue().rpartition("error: ")[2] or str(error)
        raise _refusal(arguments, reason) from error
    # Without the runner: for Dataflow it would ask Google's storage, and make a bucket there.
    if errors := PipelineOptionsValidator(options, runner=None).validate():
        raise _refusal(arguments, " ".join(errors))
    ignored -= _FLINK_OPTIONS if runner == "FlinkRunner" else set()
    others = [argument for argument in arguments if not argument.startswith("--")]
    if unknown := [*others, *(f"--{name}" for name in sorted(ignored))]:
        raise ValueError(
            f"A Beam argument should have the form --name=value or --flag, and name an option of "
            f"Beam or of the {runner}. Received: {', '.join(unknown)}; its documentation lists "
            "them (https://beam.apache.org/documentation/runners/capability-matrix/)."
        )


def _refusal(arguments: Sequence[str], reason: str) -> ValueError:
    return ValueError(
        f"Beam should be able to use its arguments. Received: {' '.join(arguments)}; "
        f"{' '.join(reason.split())}"
    )
