"""The command of every step on Kubeflow: TFX's own entry point, with artifacts that it can open.

Kubeflow's launcher copies a step's input artifacts from the object store to a local folder, and its
outputs back. TFX's entry point looks at neither: it takes an artifact's URI for its place (and
`minio://` and `s3://` are nothing to TensorFlow), makes no folder for an output, and fails on input
artifacts of open-source Kubeflow, which come without their type
(https://github.com/tensorflow/tfx/issues/7768). So the places are arguments here, filled in by
Kubeflow; types are those of the component's own definition; and what is handed back has the URIs
that Kubeflow gave.
"""

import argparse
import copy
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

INPUT_PATH_OPTION = "--input_path"
OUTPUT_PATH_OPTION = "--output_path"
_INVOCATION_OPTION = "--json_serialized_invocation_args"
_INPUTS_SPEC_OPTION = "--json_serialized_inputs_spec_args"
TFX_ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"


def localize(
    executor_input: Mapping[str, Any],
    inputs_spec: Mapping[str, Any],
    input_paths: Mapping[str, str],
    output_paths: Mapping[str, str],
) -> dict[str, Any]:
    """An invocation whose artifacts are where the launcher keeps them.

    Args:
      executor_input: JSON of Kubeflow's `ExecutorInput`.
      inputs_spec: JSON of the component's `ComponentInputsSpec`.
      input_paths: local path of each input artifact, by name.
      output_paths: local path of each output artifact, by name.

    Returns:
      A changed copy.
    """
    local = copy.deepcopy(dict(executor_input))
    for name, path in input_paths.items():
        for artifact in local["inputs"]["artifacts"][name]["artifacts"]:
            artifact["uri"] = path
            artifact["type"] = inputs_spec["artifacts"][name]["artifactType"]
    for name, path in output_paths.items():
        for artifact in local["outputs"]["artifacts"][name]["artifacts"]:
            artifact["uri"] = path
    return local


def restore_uris(
    executor_output: Mapping[str, Any], executor_input: Mapping[str, Any]
) -> dict[str, Any]:
    """What a step hands back, with the URIs that its outputs were given.

    Args:
      executor_output: JSON of Kubeflow's `ExecutorOutput`.
      executor_input: JSON of the `ExecutorInput` as Kubeflow passed it.

    Returns:
      A changed copy.
    """
    restored = copy.deepcopy(dict(executor_output))
    for name, outputs in restored.get("artifacts", {}).items():
        given = executor_input["outputs"]["artifacts"][name]["artifacts"]
        for artifact, original in zip(outputs["artifacts"], given, strict=True):
            artifact["uri"] = original["uri"]
    return restored


def main(arguments: Sequence[str]) -> None:
    """Runs one step: the executor that the arguments name, on the artifacts they give."""
    parser = argparse.ArgumentParser(allow_abbrev=False, description=__doc__)
    for option in (INPUT_PATH_OPTION, OUTPUT_PATH_OPTION):
        parser.add_argument(option, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument(_INVOCATION_OPTION, required=True)
    parser.add_argument(_INPUTS_SPEC_OPTION, required=True)
    options, others = parser.parse_known_args(arguments)
    executor_input = json.loads(options.json_serialized_invocation_args)
    output_paths = _named_paths(options.output_path)
    local = localize(
        executor_input,
        json.loads(options.json_serialized_inputs_spec_args),
        _named_paths(options.input_path),
        output_paths,
    )
    for path in output_paths.values():
        os.makedirs(path, exist_ok=True)
    _run_tfx(
        [
            *(_INVOCATION_OPTION, json.dumps(local)),
            *(_INPUTS_SPEC_OPTION, options.json_serialized_inputs_spec_args),
            *others,
        ]
    )
    output_file = Path(executor_input["outputs"]["outputFile"])
    restored = restore_uris(json.loads(output_file.read_text("utf-8")), executor_input)
    output_file.write_text(json.dumps(restored), "utf-8")


def _named_paths(options: Sequence[str]) -> dict[str, str]:
    return {name: path for name, _, path in (option.partition("=") for option in options)}


def _run_tfx(arguments: Sequence[str]) -> None:
    from adarec_tf.training.devices import set_threads

    set_threads()
    sys.argv = [TFX_ENTRY_POINT, *arguments]
    try:
        runpy.run_module(TFX_ENTRY_POINT, run_name="__main__", alter_sys=True)
    except SystemExit as finished:
        if finished.code:
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
