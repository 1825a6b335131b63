import http.server
import shutil
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest
from apache_beam.options import pipeline_options

from components import beam_arguments
from components.beam_arguments import DEFAULT_ARGUMENTS, check_beam_arguments, check_cluster

FLINK = ("--runner=FlinkRunner", "--flink_master=localhost:8081", "--parallelism=2")
SPARK = ("--runner=SparkRunner", "--spark_master_url=spark://localhost:7077")
DATAFLOW = ("--runner=DataflowRunner", "--project=a-project", "--region=europe-west1")
PROCESS = '--environment_config={"command": "/opt/boot"}'


@pytest.mark.parametrize(
    ("arguments", "view", "values"),
    [
        ((), "StandardOptions", {"runner": "FnApiRunner"}),
        (
            ("--direct_running_mode=multi_processing", "--direct_num_workers=4"),
            *("DirectOptions", {"direct_running_mode": "multi_processing"}),
        ),
        (
            ("--runner=PrismRunner", "--prism_location=/opt/prism"),
            *("PrismRunnerOptions", {"prism_location": "/opt/prism"}),
        ),
        (
            (*FLINK, "--environment_type=LOOPBACK", "--number_of_execution_retries=3"),
            *("FlinkRunnerOptions", {"flink_master": "localhost:8081", "parallelism": 2}),
        ),
        (
            (*FLINK, "--environment_type=PROCESS", PROCESS),
            *("PortableOptions", {"environment_config": '{"command": "/opt/boot"}'}),
        ),
        (
            (*FLINK, "--environment_type=EXTERNAL", "--environment_config=localhost:50000"),
            *("PortableOptions", {"environment_type": "EXTERNAL"}),
        ),
        (SPARK, "SparkRunnerOptions", {"spark_master_url": "spark://localhost:7077"}),
        (
            (*DATAFLOW, "--temp_location=gs://bucket/temp", "--num_workers=8"),
            *(
                "GoogleCloudOptions",
                {"region": "europe-west1", "temp_location": "gs://bucket/temp"},
            ),
        ),
    ],
)
def test_the_documented_arguments_are_read_as_they_are_meant(
    arguments: Sequence[str], view: str, values: dict[str, object]
) -> None:
    check_beam_arguments(arguments)
    options = pipeline_options.PipelineOptions([*DEFAULT_ARGUMENTS, *arguments])
    read = options.view_as(getattr(pipeline_options, view))
    assert {name: getattr(read, name) for name in values} == values


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runner=FlinkRuner"], "Unexpected pipeline runner: FlinkRuner. Valid .* FlinkRunner"),
        (["--direct_num_wokers=2"], "option of Beam or of the FnApiRunner.*--direct_num_wokers"),
        # Flink's own, without Flink.
        (["--number_of_execution_retries=2"], "FnApiRunner.*--number_of_execution_retries"),
        ([*FLINK, "--number_of_retries=2"], "FlinkRunner.*--number_of_retries"),
        (["--direct_num_workers=two"], "--direct_num_workers: invalid int value: 'two'"),
        (["--direct_running_mode=threads"], "invalid choice: 'threads'"),
        ([*FLINK, "--environment_type=EXTERNAL"], "external_service_address"),
        (["runner=FnApiRunner"], "--name=value or --flag.* Received: runner=FnApiRunner"),
    ],
)
def test_what_beam_would_ignore_or_find_out_later_is_an_error_now(
    arguments: Sequence[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_beam_arguments(arguments)


class Page(http.server.BaseHTTPRequestHandler):
    """Answers as Flink does, or with what `server.answers` says."""

    def do_GET(self) -> None:
        status, content = self.server.answers.get(self.path, (404, ""))  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.HTTPServer]:
    monkeypatch.setattr(shutil, "which", lambda program: program)  # there is a Java
    with http.server.HTTPServer(("localhost", 0), Page) as server:
        server.answers = {"/config": (200, '{"flink-version": "1.19.3"}')}  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Something listens and never says a word."""
    with socket.create_server(("localhost", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        return listener.getsockname()[1]


def flink(port: int, scheme: str = "") -> list[str]:
    return ["--runner=FlinkRunner", f"--flink_master={scheme}localhost:{port}"]


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_cluster_that_answers_is_fine(page: http.server.HTTPServer, scheme: str) -> None:
    check_cluster(flink(page.server_port, scheme))
    page.answers = {"/config": (401, "who are you?")}  # type: ignore[attr-defined]
    check_cluster(flink(page.server_port, scheme))


@pytest.mark.parametrize("answers", [{}, {"/config": (200, "<html>")}])
def test_something_else_that_answers_is_not_taken_for_flink(
    page: http.server.HTTPServer, answers: dict[str, tuple[int, str]]
) -> None:
    page.answers = answers  # type: ignore[attr-defined]
    address = f"localhost:{page.server_port}"
    with pytest.raises(ValueError, match=rf"Received: {address} \(what answers is not Flink\)"):
        check_cluster(flink(page.server_port))


@pytest.mark.parametrize(
    ("runner", "option", "scheme"),
    [
        ("FlinkRunner", "flink_master", ""),
        ("FlinkRunner", "flink_master", "https://"),
        ("SparkRunner", "spark_master_url", "spark://"),
        ("PortableRunner", "job_endpoint", ""),
        ("FlinkRunner", "job_endpoint", ""),
    ],
)
def test_a_wrong_address_is_named_with_its_option(
    closed_port: int, runner: str, option: str, scheme: str
) -> None:
    address = f"{scheme}localhost:{closed_port}"
    with pytest.raises(
        ValueError,
        match=rf"^--{option} should be where a cluster answers. Received: {address} "
        r"\(Connection refused\); start it, or correct the address in --beam-args\.$",
    ):
        check_cluster([f"--runner={runner}", f"--{option}={address}"])


def test_a_port_that_is_silent_is_not_waited_for(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert beam_arguments._ANSWER_S < 5
    monkeypatch.setattr(beam_arguments, "_ANSWER_S", 0.1)
    with pytest.raises(ValueError, match=rf"localhost:{silent_port} \(timed out\)"):
        check_cluster(flink(silent_port))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--runner=FlinkRunner", "--flink_master=[auto]"],
        ["--runner=SparkRunner", "--spark_master_url=local[4]"],
        [*DATAFLOW, "--temp_location=gs://bucket/temp"],
    ],
)
def test_where_no_address_is_given_none_is_asked(arguments: list[str]) -> None:
    check_cluster(arguments)


def test_java_is_asked_for_before_a_run_and_only_where_it_is_needed(
    page: http.server.HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(shutil, "which", asked.append)
    arguments = flink(page.server_port)
    with pytest.raises(ValueError, match="`java` should be a program of the PATH: Beam"):
        check_cluster(arguments)
    with pytest.raises(ValueError, match="`/opt/java` should be a program"):
        check_cluster([*arguments, "--job_server_java_launcher=/opt/java"])
    assert asked == ["java", "/opt/java"]
    check_cluster([*arguments, "--flink_submit_uber_jar"])
    check_cluster([])
    assert asked == ["java", "/opt/java"]
