"""A worker of Beam as a process of this machine: what a container's start command would do.

    python -m components.beam_worker --id=ID --provision_endpoint=HOST:PORT

is called by a runner for each worker of the environment PROCESS. It asks the runner for the other
addresses and for the options of the pipeline, and then is a worker of Beam until the runner is
gone. Nothing is installed first: this package is there already.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.channel_factory import GRPCChannelFactory
from google.protobuf import json_format, text_format

_TIMEOUT_S = 60


def ask_runner(worker_id: str, address: str) -> dict[str, str]:
    """What the runner has to say to a worker, as the environment variables that Beam reads.

    Args:
      worker_id: the name that the runner gave to it.
      address: of the runner's provision service.

    Reference:
      https://beam.apache.org/contribute/runner-guide/, and the message `ProvisionInfo`.
    """
    with GRPCChannelFactory.insecure_channel(address) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        info = service.GetProvisionInfo(
            beam_provision_api_pb2.GetProvisionInfoRequest(),
            metadata=(("worker_id", worker_id),),
            timeout=_TIMEOUT_S,
            wait_for_ready=True,
        ).info
    return {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def main(arguments: Sequence[str]) -> None:
    """Is a worker until the runner is gone."""
    parser = argparse.ArgumentParser(prog="python -m components.beam_worker", description=__doc__)
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    options, _ = parser.parse_known_args(arguments)
    os.environ.update(ask_runner(options.id, options.provision_endpoint))
    sdk_worker_main.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
