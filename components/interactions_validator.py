"""InteractionsValidator: stops the run when examples break the contract of interactions.

The stock StatisticsGen and SchemaGen come before it. An inferred schema describes whatever is in
the data; here it is tightened to what the pipeline relies on, so that the stock check has teeth.
"""

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components import ExampleValidator
from tfx.components.example_validator import executor, labels
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_component_specs
from tfx.utils import writer_utils

from adarec_tf.data.log.interactions import mixes_time_units

FEATURE_TYPES = {
    "user_id": schema_pb2.BYTES,
    "item_id": schema_pb2.BYTES,
    "timestamp": schema_pb2.INT,
    "arrival": schema_pb2.INT,
}


class InteractionsValidatorExecutor(executor.Executor):
    """The stock executor with a tightened schema, and an error where it would only warn."""

    def Do(  # noqa: N802 (the name TFX calls)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> Any:
        """Writes the anomalies of each split, as the stock component does.

        Args:
          input_dict: statistics and schema.
          output_dict: one artifact, `anomalies`.
          exec_properties: of the stock component.

        Raises:
          ValueError: there are anomalies; they are listed.
        """
        self._anomalies: list[str] = []
        output = super().Do(input_dict, output_dict, exec_properties)
        if self._anomalies:
            raise ValueError(
                "Interactions should have one user, item and time each. "
                f"Received: {'; '.join(self._anomalies)}."
            )
        return output

    def _Validate(  # noqa: N802 (the name TFX calls)
        self, inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> anomalies_pb2.Anomalies:
        inputs = dict(inputs)
        schema = tighten_schema(inputs[standard_component_specs.SCHEMA_KEY])
        inputs[standard_component_specs.SCHEMA_KEY] = schema
        anomalies = super()._Validate(inputs, outputs)
        times = [
            feature.num_stats
            for dataset in inputs[standard_component_specs.STATISTICS_KEY].datasets
            for feature in dataset.features
            if feature.path.step == ["timestamp"]
        ]
        if any(mixes_time_units(values.min, values.max) for values in times):
            _add_time_anomaly(anomalies)
            path = os.path.join(outputs[labels.SCHEMA_DIFF_PATH], executor.DEFAULT_FILE_NAME)
            writer_utils.write_anomalies(path, anomalies)
        self._anomalies += describe_anomalies(anomalies)
        return anomalies


class InteractionsValidator(ExampleValidator):
    """ExampleValidator that knows what an interaction is, and fails the run on any anomaly."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(InteractionsValidatorExecutor)


def tighten_schema(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """The inferred schema, with every feature of an interaction required once and of its type.

    Args:
      schema: of SchemaGen.

    Returns:
      A new schema; other features are as they were.
    """
    tightened = schema_pb2.Schema()
    tightened.CopyFrom(schema)
    features = {feature.name: feature for feature in tightened.feature}
    for name, kind in FEATURE_TYPES.items():
        feature = features[name] if name in features else tightened.feature.add(name=name)
        feature.type = kind
        feature.presence.min_fraction = 1.0
        feature.presence.min_count = 1
        feature.value_count.min = feature.value_count.max = 1
    return tightened


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One phrase for each anomaly, by feature; those of the whole come last."""
    phrases = [
        f"`{name}`: {info.description.rstrip('.')}"
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        phrases.append(anomalies.dataset_anomaly_info.description.rstrip("."))
    return phrases


def _add_time_anomaly(anomalies: anomalies_pb2.Anomalies) -> None:
    info = anomalies.anomaly_info["timestamp"]
    description = "some times look like unix seconds and others like milliseconds"
    info.severity = anomalies_pb2.AnomalyInfo.ERROR
    info.short_description = "Mixed units of time"
    info.description = f"{info.description} {description}".strip()
    info.reason.add(
        type=anomalies_pb2.AnomalyInfo.INVALID_DOMAIN_SPECIFICATION,
        short_description=info.short_description,
        description=description,
    )
