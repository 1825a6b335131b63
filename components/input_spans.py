"""Which files InteractionsGen reads: a file, a folder, or the daily folders that a run asks for.

The stock driver chooses one span, the newest or a given one; histories need those before as well.
So daily folders have a driver of their own. It chooses before TFX looks into its cache, and hands
the executor the very files it has seen. Where an orchestrator runs no drivers (Kubeflow), the
executor chooses.
"""

import hashlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf import struct_pb2
from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_gen import driver, utils
from tfx.proto import example_gen_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from adarec_tf.config.spans import SpansConfig
from adarec_tf.data.log.readers import list_input_files
from adarec_tf.data.log.spans import Span, choose_spans, describe_spans

SPAN_PATTERN_KEY = "span_pattern"
SPANS_CONFIG_KEY = "spans_config"
_FINGERPRINT = utils.FINGERPRINT_PROPERTY_NAME


class LogIdentity(NamedTuple):
    """Which log a run reads, and in which state.

    Attributes:
      span: the number of the last span read; 0 of a log without spans.
      fingerprint: changes with the files.
    """

    span: int
    fingerprint: str


class SpansDriver(driver.FileBasedDriver):
    """The stock driver, but for daily folders: those have a driver of our own."""

    def resolve_exec_properties(
        self, exec_properties: dict[str, Any], pipeline_info: Any, component_info: Any
    ) -> dict[str, Any]:
        """Puts the chosen files into the input config, one split a file, and fingerprints them.

        Args:
          exec_properties: of the component; changed in place, as TFX expects.
          pipeline_info: of the run.
          component_info: of the component in it.

        Returns:
          The resolved properties.
        """
        pattern = read_custom_config(exec_properties).get(SPAN_PATTERN_KEY)
        if not pattern:
            return super().resolve_exec_properties(exec_properties, pipeline_info, component_info)
        spans = _choose(exec_properties)
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        exec_properties[standard_component_specs.INPUT_CONFIG_KEY] = proto_utils.proto_to_json(
            _as_splits(spans, base)
        )
        exec_properties[utils.SPAN_PROPERTY_NAME] = spans[-1].number
        exec_properties[utils.VERSION_PROPERTY_NAME] = None
        exec_properties[_FINGERPRINT] = _fingerprint(spans)
        return exec_properties


def identify_log(exec_properties: dict[str, Any]) -> LogIdentity:
    """What the driver would find now, given a component's own properties.

    Raises:
      SpanError: spans cannot be chosen.
    """
    resolved = SpansDriver(None).resolve_exec_properties(dict(exec_properties), None, None)
    return LogIdentity(resolved[utils.SPAN_PROPERTY_NAME], resolved[_FINGERPRINT])


def identity_of(examples: metadata_store_pb2.Artifact) -> LogIdentity:
    """What the driver found when the artifact was made."""
    properties = examples.custom_properties
    return LogIdentity(
        properties[utils.SPAN_PROPERTY_NAME].int_value,
        properties[_FINGERPRINT].string_value,
    )


def input_files(exec_properties: dict[str, Any]) -> tuple[list[str], str]:
    """What the executor reads.

    Args:
      exec_properties: of the component, whether a driver has seen them or not.

    Returns:
      Files in the order in which interactions arrived, and what the chosen spans are, in a line;
      "" where the log has none.

    Raises:
      SpanError: spans cannot be chosen.
      InteractionsError: there are no files, or one is of a kind that cannot be read.
    """
    input_config = example_gen_pb2.Input()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.INPUT_CONFIG_KEY], input_config
    )
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    if not read_custom_config(exec_properties).get(SPAN_PATTERN_KEY):
        [split] = input_config.splits
        path = base if split.pattern == "*" else os.path.join(base, split.pattern)
        return list_input_files(path), ""
    is_chosen = utils.SPAN_PROPERTY_NAME in exec_properties
    spans = _from_splits(input_config, base) if is_chosen else _choose(exec_properties)
    return [file for span in spans for file in span.files], describe_spans(spans)


def read_custom_config(exec_properties: dict[str, Any]) -> dict[str, Any]:
    """What `interactions_gen` packed: names of columns, the fingerprint of the code, spans."""
    custom_config = example_gen_pb2.CustomConfig()
    proto_utils.json_to_proto(
        exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY], custom_config
    )
    settings = struct_pb2.Struct()
    custom_config.custom_config.Unpack(settings)
    return dict(settings)


def _fingerprint(spans: Sequence[Span]) -> str:
    """A fingerprint of the files of spans: changes with their names, sizes and times of change."""
    digest = hashlib.sha256()
    for span in spans:
        for file in span.files:
            status = os.stat(file)
            text = f"{span.label}\0{file}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(text.encode())
    return f"spans:{spans[0].label}..{spans[-1].label},sha256:{digest.hexdigest()}"


def _choose(exec_properties: dict[str, Any]) -> list[Span]:
    settings = read_custom_config(exec_properties)
    config = SpansConfig.from_json(settings[SPANS_CONFIG_KEY])
    return choose_spans(settings[SPAN_PATTERN_KEY], config)


def _as_splits(spans: Sequence[Span], base: str) -> example_gen_pb2.Input:
    """One split a file, named after its span; without a pattern for a span without files."""
    return example_gen_pb2.Input(
        splits=[
            example_gen_pb2.Input.Split(name=span.label, pattern=pattern)
            for span in spans
            for pattern in [os.path.relpath(file, base) for file in span.files] or [""]
        ]
    )


def _from_splits(input_config: example_gen_pb2.Input, base: str) -> list[Span]:
    files: dict[str, list[str]] = {}
    for split in input_config.splits:
        there = [os.path.join(base, split.pattern)] if split.pattern else []
        files.setdefault(split.name, []).extend(there)
    # The executor has no use for numbers.
    return [Span(0, label, tuple(paths)) for label, paths in files.items()]
