"""The gRPC services of the embedded server: thin translations between messages and models.

Methods that are not here (Classify, Regress, MultiInference) answer UNIMPLEMENTED.
"""

import functools
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.errors import ModelError, invalid_argument
from serving.loaded_model import LoadedModel, SignatureCall, encode_outputs
from serving.model_config import read_model_configs
from serving.served_models import ServedModels
from serving.server_options import Limits

_METADATA_FIELD = "signature_def"

# Runs a model on a checked request: output name to value.
Runner = Callable[[LoadedModel, SignatureCall], dict[str, Any]]
_Method = Callable[[Any, Any, grpc.ServicerContext], Any]


def _answers_errors(method: _Method) -> _Method:
    """Turns a ModelError into the status that the caller gets."""

    @functools.wraps(method)
    def answer(service: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(service, request, context)
        except ModelError as error:
            context.abort(error.code, error.message)

    return answer


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService`.

    Args:
      models: where a request finds its model.
      run: runs a model on a checked request.
      limits: of inputs.
    """

    def __init__(self, models: ServedModels, run: Runner, limits: Limits) -> None:
        self._models = models
        self._run = run
        self._limits = limits

    @_answers_errors
    def Predict(  # noqa: N802 - the API names it
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature of the model.

        Args:
          request: names model and signature, and brings the inputs.
          context: of the call.
        """
        remaining_s: Any = context.time_remaining()
        if remaining_s is not None and remaining_s <= 0:
            # The caller stopped waiting while the request was queued.
            raise ModelError(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed in the queue.")
        self._limits.check_sizes(request.inputs)
        with self._models.lease(request.model_spec) as model:
            call = model.check(request)
            self._limits.check_values(call.inputs)
            outputs = self._run(model, call)
        spec = {
            "name": request.model_spec.name,
            "version": {"value": model.version},
            "signature_name": call.signature_name,
        }
        return predict_pb2.PredictResponse(model_spec=spec, outputs=encode_outputs(outputs))

    @_answers_errors
    def GetModelMetadata(  # noqa: N802 - the API names it
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describes the signatures of the model.

        Args:
          request: names the model, and `signature_def` as what is asked of it.
          context: of the call.
        """
        if list(request.metadata_field) != [_METADATA_FIELD]:
            raise invalid_argument(
                f"`metadata_field` should be {_METADATA_FIELD!r}. "
                f"Received: {list(request.metadata_field)}."
            )
        with self._models.lease(request.model_spec) as model:
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs)
        spec = {"name": request.model_spec.name, "version": {"value": model.version}}
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

    @_answers_errors
    def GetModelStatus(  # noqa: N802 - the API names it
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells the state of one version, or of all versions seen so far.

        Args:
          request: names the model, and the version if only one is asked about.
          context: of the call.
        """
        statuses = self._models.statuses(request.model_spec)
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=statuses)

    @_answers_errors
    def HandleReloadConfigRequest(  # noqa: N802 - the API names it
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the list of models; answers when they are loaded, or changes nothing.

        Args:
          request: the new list.
          context: of the call.
        """
        self._models.reload(read_model_configs(request.config))
        return model_management_pb2.ReloadConfigResponse()
