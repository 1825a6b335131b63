"""The gRPC services of the embedded server: thin translations between messages and models.

Methods that are not here (Classify, Regress, MultiInference, HandleReloadConfigRequest) answer
UNIMPLEMENTED.
"""

from typing import Any, NoReturn

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.loaded_model import DEFAULT_SIGNATURE, ModelError
from serving.model_versions import ModelVersions

_METADATA_FIELD = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`tensorflow.serving.PredictionService` for one model.

    Args:
      model_name: the name requests have to give.
      versions: where a request finds its model.
    """

    def __init__(self, model_name: str, versions: ModelVersions) -> None:
        self._model_name = model_name
        self._versions = versions

    def Predict(  # noqa: N802 - the API names it
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature of the model."""
        try:
            _check_deadline(context)
            version = _requested_version(request.model_spec, self._model_name)
            signature_name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            with self._versions.lease(version) as model:
                outputs = model.predict(
                    signature_name, dict(request.inputs), list(request.output_filter)
                )
                spec = _answered_by(self._model_name, model.version, signature_name)
            return predict_pb2.PredictResponse(model_spec=spec, outputs=outputs)
        except ModelError as error:
            _abort(context, error)

    def GetModelMetadata(  # noqa: N802 - the API names it
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Describes the signatures of the model."""
        try:
            version = _requested_version(request.model_spec, self._model_name)
            if list(request.metadata_field) != [_METADATA_FIELD]:
                raise ModelError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"`metadata_field` should be {_METADATA_FIELD!r}. "
                    f"Received: {list(request.metadata_field)}.",
                )
            with self._versions.lease(version) as model:
                spec = _answered_by(self._model_name, model.version)
                signatures = get_model_metadata_pb2.SignatureDefMap(
                    signature_def=model.signature_defs
                )
        except ModelError as error:
            _abort(context, error)
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
        response.metadata[_METADATA_FIELD].Pack(signatures)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """`tensorflow.serving.ModelService` for one model.

    Args:
      model_name: the name requests have to give.
      versions: whose states are told.
    """

    def __init__(self, model_name: str, versions: ModelVersions) -> None:
        self._model_name = model_name
        self._versions = versions

    def GetModelStatus(  # noqa: N802 - the API names it
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells the state of one version, or of all versions seen so far."""
        try:
            version = _requested_version(request.model_spec, self._model_name)
            return get_model_status_pb2.GetModelStatusResponse(
                model_version_status=self._versions.statuses(version)
            )
        except ModelError as error:
            _abort(context, error)


def _requested_version(spec: model_pb2.ModelSpec, model_name: str) -> int | None:
    """The version a request asks for, None for the latest, once its model name is checked."""
    if not spec.name:
        raise ModelError(grpc.StatusCode.INVALID_ARGUMENT, "`model_spec` should name a model.")
    if spec.name != model_name:
        raise ModelError(
            grpc.StatusCode.NOT_FOUND,
            f"Servable not found for request: {spec.name}. This server has: {model_name}.",
        )
    choice = spec.WhichOneof("version_choice")
    if choice == "version_label":
        raise ModelError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Unrecognized servable version label: {spec.version_label}. Ask by number instead.",
        )
    return spec.version.value if choice == "version" else None


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
