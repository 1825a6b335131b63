"""Beam's arguments, checked by Beam's own parser and validator before a run starts.

An option that no part of Beam knows would be ignored by Beam; here it is an error that names it.
Beam asks for its cluster late and says little: a cluster that does not answer is an error here too.
"""

import contextlib
import http.client
import io
import re
import shutil
import socket
from collections.abc import Sequence

from apache_beam.options.pipeline_options import (
    JobServerOptions,
    PipelineOptions,
    StandardOptions,
)
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

# By runner, the option that names its cluster, and the one that does without a job server in Java.
_CLUSTERS = {
    "FlinkRunner": ("flink_master", "flink_submit_uber_jar"),
    "SparkRunner": ("spark_master_url", "spark_submit_uber_jar"),
}
_ADDRESS = re.compile(r"(?P<scheme>\w+://)?(?P<host>[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d+)/?")
_ANSWER_S = 4.0


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


def check_cluster(arguments: Sequence[str]) -> None:
    """Asks the cluster of the arguments, where they name one; it has a few seconds to answer.

    Args:
      arguments: as `check_beam_arguments` has found them right.

    Raises:
      ValueError: nothing answers at its address, something else does, or this machine has no Java,
        with which Beam hands over its jobs.
    """
    options = PipelineOptions([*DEFAULT_ARGUMENTS, *arguments])
    values = options.get_all_options()
    cluster, uber_jar = _CLUSTERS.get(options.view_as(StandardOptions).runner, ("", ""))
    if values["job_endpoint"]:
        _check_address("job_endpoint", values["job_endpoint"])
    elif cluster:
        _check_address(cluster, values[cluster])
        java = options.view_as(JobServerOptions).job_server_java_launcher
        if not values[uber_jar] and not shutil.which(java):
            raise ValueError(
                f"`{java}` should be a program of the PATH: Beam hands over its jobs with it. "
                "Received: none; install Java, or name it with --job_server_java_launcher."
            )


def _check_address(option: str, address: str) -> None:
    """Leaves alone what is no host and port, such as `[auto]` and `local[4]`."""
    found = _ADDRESS.fullmatch(address.strip())
    if found is None:
        return
    host, port = found["host"].strip("[]"), int(found["port"])
    try:
        if option == "flink_master" and found["scheme"] != "https://":
            _ask_flink(host, port)
        else:
            socket.create_connection((host, port), _ANSWER_S).close()
    except (OSError, OverflowError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(
            f"--{option} should be where a cluster answers. Received: {address} ({reason}); start "
            "it, or correct the address in --beam-args."
        ) from error


def _ask_flink(host: str, port: int) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", "/config")
        answer = connection.getresponse()
        # A proxy may want to know who asks.
        if answer.status == 404 or (answer.status == 200 and b"flink-version" not in answer.read()):
            raise http.client.HTTPException("what answers is not Flink")


def _refusal(arguments: Sequence[str], reason: str) -> ValueError:
    return ValueError(
        f"Beam should be able to use its arguments. Received: {' '.join(arguments)}; "
        f"{' '.join(reason.split())}"
    )
