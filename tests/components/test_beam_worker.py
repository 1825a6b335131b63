import json
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from apache_beam.portability.api import beam_provision_api_pb2 as api
from apache_beam.portability.api import beam_provision_api_pb2_grpc as api_grpc
from apache_beam.portability.api import endpoints_pb2
from google.protobuf import text_format

from components.beam_worker import ask_runner


class Runner(api_grpc.ProvisionServiceServicer):
    def GetProvisionInfo(  # noqa: N802 (the name of the service)
        self, request: api.GetProvisionInfoRequest, context: grpc.ServicerContext
    ) -> api.GetProvisionInfoResponse:
        info = api.ProvisionInfo(runner_capabilities=["one", "two"])
        info.control_endpoint.url = "localhost:1"
        info.logging_endpoint.url = "localhost:2"
        info.pipeline_options["beam:option:job_name:v1"] = dict(context.invocation_metadata())[
            "worker_id"
        ]
        return api.GetProvisionInfoResponse(info=info)


@pytest.fixture
def address() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    api_grpc.add_ProvisionServiceServicer_to_server(Runner(), server)
    port = server.add_insecure_port("localhost:0")
    server.start()
    yield f"localhost:{port}"
    server.stop(None)


def test_a_worker_is_told_what_beam_s_worker_reads(address: str) -> None:
    environment = ask_runner("worker-7", address)
    assert environment["WORKER_ID"] == "worker-7"
    assert json.loads(environment["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "worker-7"}
    assert environment["RUNNER_CAPABILITIES"] == "one two"
    endpoints = [environment[f"{name}_API_SERVICE_DESCRIPTOR"] for name in ("CONTROL", "LOGGING")]
    assert [
        text_format.Parse(endpoint, endpoints_pb2.ApiServiceDescriptor()).url
        for endpoint in endpoints
    ] == ["localhost:1", "localhost:2"]
