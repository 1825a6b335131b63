from collections.abc import Sequence

import pytest
from apache_beam.options import pipeline_options

from components.beam_arguments import DEFAULT_ARGUMENTS, check_beam_arguments

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
