"""The gRPC services of the embedded server: thin translations between messages and models.

Methods that are not here (Classify, Regress, MultiInference) answer UNIMPLEMENTED.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.limits import check_sizes, check_values
from serving.loaded_model import LoadedModel, ModelError, SignatureCall, encode_outputs
from serving.model_config import read_model_configs
from serving.served_models import ServedModels

_METADATA_FIELD = "signature_def"

# Runs a model on a checked request: output name to value.
Runner = Callable[[LoadedModel, SignatureCall], dict[str, Any]]


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService`.

    Args:
      models: where a request finds its model.
      run: runs a model on a checked request.
      limits: of inputs, as `parse_limits` gives them.
    """

    def __init__(
        self,
        models: ServedModels,
        run: Runner,
        limits: Mapping[str, Sequence[int]],
    ) -> None:
        self._models = models
        self._run = run
        self._limits = limits

    def Predict(  # noqa: N802 - the API names it
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature of the model."""
        try:
            _check_deadline(context)
            check_sizes(request.inputs, self._limits)
            with self._models.lease(request.model_spec) as model:
                call = model.check(
                    request.model_spec.signature_name,
                    dict(request.inputs),
                    list(request.output_filter),
                )
                check_values(call.inputs, self._limits)
                outputs = self._run(model, call)
            return predict_pb2.PredictResponse(
                model_spec=_answered_by(
                    request.model_spec.name, model.version, call.signature_name
                ),
                outputs=encode_outputs(outputs),
            )
        except ModelError as error:
            _abort(context, error)

    def GetModelMetadata(  # noqa: N802 - the API names it
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describes the signatures of the model."""
        try:
            if list(request.metadata_field) != [_METADATA_FIELD]:
                raise ModelError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"`metadata_field` should be {_METADATA_FIELD!r}. "
                    f"Received: {list(request.metadata_field)}.",
                )
            with self._models.lease(request.model_spec) as model:
                spec = _answered_by(request.model_spec.name, model.version)
                signatures = get_model_metadata_pb2.SignatureDefMap(
                    signature_def=model.signature_defs
                )
        except ModelError as error:
            _abort(context, error)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        response.metadata[_METADATA_FIELD].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """`tensorflow.serving.ModelService`.

    Args:
      models: whose states are told, and whose list can be replaced.
    """

    def __init__(self, models: ServedModels) -> None:
        self._models = models

    def GetModelStatus(  # noqa: N802 - the API names it
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells the state of one version, or of all versions seen so far."""
        try:
            return get_model_status_pb2.GetModelStatusResponse(
                model_version_status=self._models.statuses(request.model_spec)
            )
        except ModelError as error:
            _abort(context, error)

    def HandleReloadConfigRequest(  # noqa: N802 - the API names it
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the list of models; answers when they are loaded, or changes nothing."""
        try:
            self._models.reload(read_model_configs(request.config))
        except ModelError as error:
            _abort(context, error)
        return model_management_pb2.ReloadConfigResponse()


def _answered_by(model_name: str, version: int, signature_name: str = "") -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=model_name, signature_name=signature_name)
    spec.version.value = version
    return spec


def _check_deadline(context: grpc.ServicerContext) -> None:
    """Spares the work for a caller who stopped waiting while the request was queued."""
    remaining_s: Any = context.time_remaining()
    if remaining_s is not None and remaining_s <= 0:
        raise ModelError(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed in the queue.")


def _abort(context: grpc.ServicerContext, error: ModelError) -> NoReturn:
    context.abort(error.code, error.message)
    raise AssertionError("`context.abort` always raises.")
