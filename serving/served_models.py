"""The models of a server by name: which one answers a request, and replacing the whole list.

Follows TensorFlow Serving with one difference: a new list that cannot be served (a folder that is
missing, a new model of which no version loads) changes nothing here. The real server waits for a
missing folder for ever, and drops the old list before it knows the new one.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Lock

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from serving.errors import ModelError, invalid_argument
from serving.loaded_model import LoadedModel, load_model
from serving.model_config import ModelConfig
from serving.model_versions import NO_RETRIES, LoadRetries, ModelVersions

logger = logging.getLogger(__name__)


class ServedModels:
    """All models of a server. Safe to use from several threads.

    Args:
      poll_interval_s: seconds between two looks at a new model's folder while its first version
        may still be in the making.
      load: makes a served model of a version's folder, or raises `ModelError`.
      retries: of a version that does not load.
    """

    def __init__(
        self,
        poll_interval_s: float,
        load: Callable[[Path, int], LoadedModel] = load_model,
        retries: LoadRetries = NO_RETRIES,
    ) -> None:
        self._poll_interval_s = poll_interval_s
        self._load = load
        self._retries = retries
        # Replaced as a whole, never changed, so that reading needs no lock.
        self._models: Mapping[str, ModelVersions] = {}
        # Loading is for one thread at a time: the watcher's, or that of a request for a new list.
        self._loading = Lock()

    @property
    def available_versions(self) -> dict[str, list[int]]:
        """The versions that answer requests, oldest first, by model name."""
        return {name: model.available_versions for name, model in self._models.items()}

    def refresh(self) -> None:
        """Looks at every model's folder once."""
        with self._loading:
            for model in self._models.values():
                _refresh(model)

    def start(self, configs: Sequence[ModelConfig]) -> None:
        """Serves the first list of models, whose labels may name versions that this call loads.

        Raises:
          ModelError: FAILED_PRECONDITION, a label for a version that is not available; NOT_FOUND, a
            missing folder; UNKNOWN, a model of which no version loads.
        """
        with self._loading:
            models = {
                config.name: ModelVersions(config, self._load, self._retries) for config in configs
            }
            for model in models.values():
                self._load_first_version(model)
                _check_labels(model.config, model.available_versions)
            self._models = models

    def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Replaces the list of models; those under the same name and folder stay loaded.

        Raises:
          ModelError: FAILED_PRECONDITION, a label for a version that was not available before;
            NOT_FOUND, a missing folder; UNKNOWN, a new model of which no version loads.
        """
        with self._loading:
            models = {config.name: self._loaded(config) for config in configs}
            for config in configs:
                _check_labels(config, models[config.name].available_versions)
            new = [model for model in models.values() if model not in self._models.values()]
            for model in new:
                self._load_first_version(model)
            for config in configs:
                if (model := models[config.name]) not in new:
                    model.config = config
                    _refresh(model)
            self._models = models

    def lease(self, spec: model_pb2.ModelSpec) -> AbstractContextManager[LoadedModel]:
        """Holds the model a request asks for: it is not unloaded before the block ends.

        Raises:
          ModelError: INVALID_ARGUMENT, no name or an unknown label; NOT_FOUND, no such model, or
            the version is not being served.
        """
        model, version = self._find(spec)
        return model.lease(version)

    def statuses(self, spec: model_pb2.ModelSpec) -> list[ModelVersionStatus]:
        """State of every version of a model seen so far, newest first, or of the one asked for.

        Raises:
          ModelError: INVALID_ARGUMENT, no name or an unknown label; NOT_FOUND, no such model or
            version.
        """
        model, version = self._find(spec)
        return model.statuses(version)

    def _find(self, spec: model_pb2.ModelSpec) -> tuple[ModelVersions, int | None]:
        """The model asked for, and its version's number; None for the newest."""
        if not spec.name:
            raise invalid_argument("`model_spec` should name a model.")
        models = self._models
        if spec.name not in models:
            raise ModelError(
                grpc.StatusCode.NOT_FOUND,
                f"Servable not found for request: {spec.name}. "
                f"This server has: {', '.join(sorted(models)) or 'no model'}.",
            )
        model, label = models[spec.name], spec.version_label
        if spec.HasField("version"):
            return model, spec.version.value
        if not spec.HasField("version_label"):
            return model, None
        if label not in model.config.version_labels:
            raise invalid_argument(
                f"Unrecognized servable version label: {label}. "
                f"Known: {', '.join(sorted(model.config.version_labels)) or 'none'}."
            )
        return model, model.config.version_labels[label]

    def _loaded(self, config: ModelConfig) -> ModelVersions:
        """The versions that the model has already; none if its name or folder is new."""
        old = self._models.get(config.name)
        if old and Path(old.config.base_path) == Path(config.base_path):
            return old
        return ModelVersions(config, self._load, self._retries)

    def _load_first_version(self, model: ModelVersions) -> None:
        """Loads what the policy wants; at least one version has to load."""
        name, folder = model.config.name, Path(model.config.base_path)
        if not folder.is_dir():
            raise ModelError(
                grpc.StatusCode.NOT_FOUND,
                f"The model {name!r} should have a folder of pushed versions. Received: {folder}, "
                "which is not a folder. Push a model there with `adarec run` first.",
            )
        try:
            model.refresh()
            while not model.available_versions and model.tries_again:
                time.sleep(self._poll_interval_s)
                model.refresh()
        except OSError as error:
            message = f"The folder of the model {name!r} should be readable: {error}"
            raise ModelError(grpc.StatusCode.UNKNOWN, message) from error
        if model.available_versions:
            return
        message = (
            f"The folder of the model {name!r} should hold a folder with a number for a name that "
            f"its policy allows, and {folder} has none. Push a model there with `adarec run` first."
        )
        if failed := model.statuses():
            message = (
                f"No version in {folder} can be served; the newest one failed with: "
                f"{failed[0].status.error_message} Push a new version."
            )
        raise ModelError(grpc.StatusCode.UNKNOWN, message)


def _refresh(model: ModelVersions) -> None:
    try:
        model.refresh()
    except OSError as error:
        logger.warning("Cannot look for new versions, the old ones stay: %s", error)


def _check_labels(config: ModelConfig, available: Sequence[int]) -> None:
    for label, version in config.version_labels.items():
        if version not in available:
            raise ModelError(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"The label {label!r} should name a version of {config.name!r} that is available: "
                f"{available}. Received: {version}.",
            )
