"""Beam's arguments: which runner does the Beam stages of a run, where, and with how many workers.

What Beam's own parser would ignore, because no part of Beam knows it, is an error here.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

# Beam's default runner looks for a Go binary on the internet before it falls back to this one. Its
# workers are threads (processes would import TensorFlow anew), and as each holds a block of the log
# there are few.
DEFAULT_ARGUMENTS = (
    "--runner=FnApiRunner",
    "--direct_running_mode=multi_threading",
    "--direct_num_workers=2",
)

# Of batch jobs, known to Flink's job server alone, which Beam asks when a job is on its way.
# https://beam.apache.org/documentation/runners/flink/#pipeline-options-for-the-flink-runner
_FLINK_OPTIONS = frozenset(
    {
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
)
# Each with the options that it knows beside Beam's.
RUNNERS: dict[str, frozenset[str]] = {
    "FnApiRunner": frozenset(),
    "DirectRunner": frozenset(),
    "PrismRunner": frozenset(),
    "FlinkRunner": _FLINK_OPTIONS,
    "SparkRunner": frozenset(),
    "DataflowRunner": frozenset(),
}
# Where a cluster's workers of Python are: in a container or a process beside each of its own,
# started by others, or in the process that submits the job. None is the runner's default.
ENVIRONMENTS = ("DOCKER", "PROCESS", "EXTERNAL", "LOOPBACK", None)


def check_beam_arguments(arguments: Sequence[str]) -> None:
    """Checks the arguments as Beam would, and that it ignores none; nothing is started.

    Args:
      arguments: `--name=value` or `--flag`; added to the defaults, and the last of a name counts.

    Raises:
      ValueError: a runner or an option is unknown, or a value is missing or not allowed.
    """
    for argument in arguments:
        if not argument.startswith("--"):
            raise ValueError(
                f"A Beam argument should have the form --name=value or --flag. "
                f"Received: {argument!r}."
            )
    given = [*DEFAULT_ARGUMENTS, *arguments]
    known, unknown = _read(given)
    _check_choice("runner", known, tuple(RUNNERS))
    _check_choice("environment_type", known, ENVIRONMENTS)
    runner = known["runner"]
    if left := sorted(unknown - RUNNERS[runner]):
        raise ValueError(
            f"A Beam argument should be an option of Beam or of the {runner}. "
            f"Received: --{', --'.join(left)}; its documentation lists them "
            f"(https://beam.apache.org/documentation/runners/capability-matrix/)."
        )
    try:
        if runner == "DataflowRunner":
            _check_bucket(given)
        beam.Pipeline(argv=[*given, "--dry_run=True"])  # dry: Beam does not ask Google's storage
    except (ImportError, ValueError) as error:
        causes = " ".join(line.strip() for line in str(error).splitlines())
        raise ValueError(
            f"The {runner} should be given what it needs. Received: {' '.join(arguments)}; {causes}"
        ) from error


def _check_choice(name: str, options: Mapping[str, Any], choices: Sequence[str | None]) -> None:
    if options[name] not in choices:
        raise ValueError(
            f"Beam's `--{name}` should be one of {', '.join(filter(None, choices))}. "
            f"Received: {options[name]}."
        )


def _check_bucket(arguments: list[str]) -> None:
    """Beam, given no bucket that it can use, makes one: not what a check should do."""
    validator = PipelineOptionsValidator(PipelineOptions(arguments), runner=None)
    options = validator.options.view_as(GoogleCloudOptions)
    errors = [
        validator.validate_gcs_path(options, name) for name in ("temp_location", "staging_location")
    ]
    if all(errors):
        raise ValueError(" ".join(errors[0]))


def _read(arguments: list[str]) -> tuple[dict[str, Any], set[str]]:
    """The options that Beam knows, with their values, and the names of the others."""
    refusal = io.StringIO()
    try:
        with contextlib.redirect_stderr(refusal):
            options = PipelineOptions(arguments)
            known = options.get_all_options()
            every = options.get_all_options(retain_unknown_options=True)
    except SystemExit as error:  # how argparse refuses a value
        reason = refusal.getvalue().strip().rpartition("error: ")[2]
        raise ValueError(
            f"A Beam argument should have a value of its kind. "
            f"Received: {' '.join(arguments)}; {reason}."
        ) from error
    return known, set(every) - set(known)
