import json
from pathlib import Path

import pytest

from pipeline.kubeflow import step as kubeflow_step

INPUT = {
    "inputs": {
        "artifacts": {
            "teacher": {
                "artifacts": [
                    {"uri": "s3://b/t", "type": {"instanceSchema": ""}, "metadata": {"n": 1.0}}
                ]
            }
        },
        "parameterValues": {"seed": 1},
    },
    "outputs": {
        "artifacts": {"model": {"artifacts": [{"uri": "s3://b/m", "type": {"schemaTitle": "M"}}]}},
        "outputFile": "/tmp/output.json",
    },
}
TYPE = {"instanceSchema": "title: tfx.Model\ntype: object\n"}
SPEC = {"artifacts": {"teacher": {"artifactType": TYPE}}}


def test_artifacts_are_where_the_launcher_keeps_them_and_have_their_type() -> None:
    before = json.dumps(INPUT)
    local = kubeflow_step.localize(INPUT, SPEC, {"teacher": "/s3/b/t"}, {"model": "/s3/b/m"})
    [teacher] = local["inputs"]["artifacts"]["teacher"]["artifacts"]
    assert teacher == {"uri": "/s3/b/t", "type": TYPE, "metadata": {"n": 1.0}}
    [model] = local["outputs"]["artifacts"]["model"]["artifacts"]
    assert model == {"uri": "/s3/b/m", "type": {"schemaTitle": "M"}}
    assert local["inputs"]["parameterValues"] == {"seed": 1}
    assert json.dumps(INPUT) == before


def test_outputs_are_handed_back_under_the_uris_they_were_given() -> None:
    output = {"artifacts": {"model": {"artifacts": [{"uri": "/s3/b/m", "metadata": {"a": "b"}}]}}}
    restored = kubeflow_step.restore_uris(output, INPUT)
    [model] = restored["artifacts"]["model"]["artifacts"]
    assert model == {"uri": "s3://b/m", "metadata": {"a": "b"}}


def test_tfx_gets_local_artifacts_existing_folders_and_all_other_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output_file = tmp_path / "output.json"
    invocation = {**INPUT, "outputs": {**INPUT["outputs"], "outputFile": str(output_file)}}
    model_dir = tmp_path / "s3" / "m"
    received: list[str] = []

    def run_tfx(arguments: list[str]) -> None:
        received.extend(arguments)
        assert model_dir.is_dir()
        output = {"artifacts": {"model": {"artifacts": [{"uri": str(model_dir)}]}}}
        output_file.write_text(json.dumps(output))

    monkeypatch.setattr(kubeflow_step, "_run_tfx", run_tfx)
    kubeflow_step.main(
        [
            *("--executor_class_path", "components.version_pusher.VersionPusher_Executor"),
            *("--json_serialized_invocation_args", json.dumps(invocation)),
            *("--json_serialized_inputs_spec_args", json.dumps(SPEC)),
            "--runner=FnApiRunner",
            *("--input_path", "teacher=/s3/b/t=1", "--output_path", f"model={model_dir}"),
        ]
    )
    local = json.loads(received[received.index("--json_serialized_invocation_args") + 1])
    assert local["inputs"]["artifacts"]["teacher"]["artifacts"][0]["uri"] == "/s3/b/t=1"
    assert "--input_path" not in received
    assert {"--executor_class_path", "--runner=FnApiRunner"} < set(received)
    handed_back = json.loads(output_file.read_text())
    assert handed_back["artifacts"]["model"]["artifacts"] == [{"uri": "s3://b/m"}]
