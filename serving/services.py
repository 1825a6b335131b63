"""The gRPC services of the embedded server: thin translations between messages and models.

Classify, Regress and MultiInference are refused as TensorFlow Serving refuses them for models that,
like ours, have no signature of theirs.
"""

# ruff: noqa: N802 (the API names the methods)

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest, ReloadConfigResponse
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceServicer
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceServicer
from tensorflow_serving.apis.regression_pb2 import RegressionRequest

from serving.errors import ModelError, invalid_argument
from serving.loaded_model import LoadedModel, SignatureCall, encode_outputs
from serving.model_config import read_model_configs
from serving.served_models import ServedModels
from serving.server_options import Limits

_METADATA_FIELD = "signature_def"

# Runs a model on a checked request: output name to value.
Runner = Callable[[LoadedModel, SignatureCall], dict[str, Any]]


def _grpc_method(method: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Turns a ModelError into the status that the caller gets; answers nobody who has gone."""

    @functools.wraps(method)
    def answer(service: Any, request: Any, context: grpc.ServicerContext) -> Any:
        remaining_s = context.time_remaining()
        if remaining_s is not None and remaining_s <= 0:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "The deadline passed in the queue.")
        try:
            return method(service, request)
        except ModelError as error:
            context.abort(error.code, error.message)

    return answer


@dataclass(frozen=True)
class PredictionService(PredictionServiceServicer):
    """`tensorflow.serving.PredictionService`.

    Attributes:
      models: where a request finds its model.
      run: runs a model on a checked request.
      limits: of inputs.
    """

    models: ServedModels
    run: Runner
    limits: Limits

    @_grpc_method
    def Predict(self, request: PredictRequest) -> PredictResponse:
        """Runs a signature of the model."""
        self.limits.check_sizes(request.inputs)
        with self.models.lease(request.model_spec) as model:
            call = model.check(request)
            self.limits.check_values(call.inputs)
            outputs = self.run(model, call)
        spec = {
            "name": request.model_spec.name,
            "version": {"value": model.version},
            "signature_name": call.signature_name,
        }
        return PredictResponse(model_spec=spec, outputs=encode_outputs(outputs))

    @_grpc_method
    def GetModelMetadata(self, request: GetModelMetadataRequest) -> GetModelMetadataResponse:
        """Describes the signatures of the model."""
        if list(request.metadata_field) != [_METADATA_FIELD]:
            raise invalid_argument(
                f"`metadata_field` should be {_METADATA_FIELD!r}. "
                f"Received: {list(request.metadata_field)}."
            )
        with self.models.lease(request.model_spec) as model:
            signatures = SignatureDefMap(signature_def=model.signature_defs)
        spec = {"name": request.model_spec.name, "version": {"value": model.version}}
        response = GetModelMetadataResponse(model_spec=spec)
        response.metadata[_METADATA_FIELD].Pack(signatures)
        return response

    @_grpc_method
    def Classify(self, request: ClassificationRequest) -> None:
        """Refuses."""
        self._refuse(request.model_spec)

    @_grpc_method
    def Regress(self, request: RegressionRequest) -> None:
        """Refuses."""
        self._refuse(request.model_spec)

    @_grpc_method
    def MultiInference(self, request: MultiInferenceRequest) -> None:
        """Refuses."""
        self._refuse(request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec())

    def _refuse(self, spec: model_pb2.ModelSpec) -> None:
        with self.models.lease(spec):  # a model that is not there is another error
            raise invalid_argument(f"All signatures of {spec.name!r} are for Predict. Use that.")


@dataclass(frozen=True)
class ModelService(ModelServiceServicer):
    """`tensorflow.serving.ModelService`.

    Attributes:
      models: whose states are told, and whose list can be replaced.
    """

    models: ServedModels

    @_grpc_method
    def GetModelStatus(self, request: GetModelStatusRequest) -> GetModelStatusResponse:
        """Tells the state of one version, or of all versions seen so far."""
        statuses = self.models.statuses(request.model_spec)
        return GetModelStatusResponse(model_version_status=statuses)

    @_grpc_method
    def HandleReloadConfigRequest(self, request: ReloadConfigRequest) -> ReloadConfigResponse:
        """Replaces the list of models; answers when they are loaded, or changes nothing."""
        self.models.reload(read_model_configs(request.config))
        return ReloadConfigResponse()
