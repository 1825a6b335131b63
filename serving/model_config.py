"""Which models are served: folders, version policies and labels, as the stock server reads them.

The format is TensorFlow Serving's `ModelServerConfig`, in text in a file (`--model_config_file`
there) or in a HandleReloadConfigRequest. What is wrong with it is INVALID_ARGUMENT, as there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import grpc
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.loaded_model import ModelError

_PLATFORM = "tensorflow"


class VersionPolicy(NamedTuple):
    """Which versions of a folder are served: by default the newest one.

    Attributes:
      receptive_field: how many of the newest; 0 means all.
      versions: only these numbers; empty means any.
    """

    receptive_field: int = 1
    versions: frozenset[int] = frozenset()

    def candidates(self, found: Iterable[int]) -> list[int]:
        """The versions that may be served, in the order they are wanted: newest first."""
        return sorted((v for v in found if not self.versions or v in self.versions), reverse=True)

    def is_enough(self, num_served: int) -> bool:
        """Whether no further version is wanted."""
        return 0 < self.receptive_field <= num_served


NEWEST_VERSION = VersionPolicy()


@dataclass(frozen=True)
class ModelConfig:
    """One model of the list.

    Attributes:
      name: what requests call it.
      base_path: absolute path of the folder of numbered versions.
      policy: which versions are served.
      labels: names of versions, usable instead of their numbers.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = NEWEST_VERSION
    labels: Mapping[str, int] = field(default_factory=dict)


def read_model_configs(message: model_server_config_pb2.ModelServerConfig) -> list[ModelConfig]:
    """The model list of a configuration.

    Raises:
      ModelError: INVALID_ARGUMENT, with what should be changed.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise _invalid("The configuration should be a `model_config_list`.")
    configs = [_read_model(model) for model in message.model_config_list.config]
    names = [config.name for config in configs]
    for name in names:
        if names.count(name) > 1:
            raise _invalid(f"Each model should be listed once. Received: {name!r} more than once.")
    return configs


def read_model_config_file(path: Path) -> list[ModelConfig]:
    """The model list of a file in text format, at least one model.

    Raises:
      ModelError: INVALID_ARGUMENT, the file cannot be read or is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise _invalid(
            f"{path} should be a ModelServerConfig in text format, as the stock server reads it: "
            f"{error}"
        ) from error
    configs = read_model_configs(message)
    if not configs:
        raise _invalid(f"{path} should list at least one model.")
    return configs


def _read_model(model: model_server_config_pb2.ModelConfig) -> ModelConfig:
    if not model.name:
        raise _invalid("Each model should have a `name`.")
    if model.model_platform != _PLATFORM:
        raise _invalid(
            f"`model_platform` of {model.name!r} should be {_PLATFORM!r}. "
            f"Received: {model.model_platform!r}."
        )
    base_path = Path(model.base_path)
    if not base_path.is_absolute():
        raise _invalid(
            f"`base_path` of {model.name!r} should be absolute. Received: {model.base_path!r}."
        )
    return ModelConfig(model.name, base_path, _read_policy(model), dict(model.version_labels))


def _read_policy(model: model_server_config_pb2.ModelConfig) -> VersionPolicy:
    policy = model.model_version_policy
    match policy.WhichOneof("policy_choice"):
        case "specific":
            if not policy.specific.versions:
                raise _invalid(f"The `specific` policy of {model.name!r} should list versions.")
            return VersionPolicy(receptive_field=0, versions=frozenset(policy.specific.versions))
        case "all":
            return VersionPolicy(receptive_field=0)
        case _:
            # The real server reads `latest {}` as one version too.
            return VersionPolicy(receptive_field=policy.latest.num_versions or 1)


def _invalid(message: str) -> ModelError:
    return ModelError(grpc.StatusCode.INVALID_ARGUMENT, message)
