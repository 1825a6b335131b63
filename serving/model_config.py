"""Which models are served: folders, version policies and labels, as the stock server reads them.

The messages are TensorFlow Serving's: a `ModelServerConfig`, in text in a file
(`--model_config_file` there) or in a HandleReloadConfigRequest, lists a `ModelConfig` a model.
"""

from collections.abc import Iterable
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config.file_system_storage_path_source_pb2 import (
    FileSystemStoragePathSourceConfig,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig, ModelServerConfig

from serving.errors import invalid_argument

_PLATFORM = "tensorflow"


def read_model_configs(message: ModelServerConfig) -> list[ModelConfig]:
    """The model list of a configuration, checked.

    Raises:
      ModelError: INVALID_ARGUMENT, with what should be changed.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise invalid_argument("The configuration should be a `model_config_list`.")
    configs = list(message.model_config_list.config)
    names = [config.name for config in configs]
    for config in configs:
        _check(config)
        if names.count(config.name) > 1:
            raise invalid_argument(
                f"Each model should be listed once. Received: {config.name!r} more than once."
            )
    return configs


def read_model_config_file(path: Path) -> list[ModelConfig]:
    """The model list of a file in text format, at least one model.

    Raises:
      ModelError: INVALID_ARGUMENT, the file cannot be read or is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        message = text_format.Parse(text, ModelServerConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise invalid_argument(
            f"{path} should be a ModelServerConfig in text format, as the stock server reads it: "
            f"{error}"
        ) from error
    configs = read_model_configs(message)
    if not configs:
        raise invalid_argument(f"{path} should list at least one model.")
    return configs


def allowed_versions(
    policy: FileSystemStoragePathSourceConfig.ServableVersionPolicy, found: Iterable[int]
) -> tuple[list[int], int]:
    """Applies a policy to the versions found.

    Args:
      policy: of a model; without a choice, and with `latest {}`, it is the newest version.
      found: numbers of versions.

    Returns:
      The versions that may be served, newest first, and how many of them are wanted.
    """
    numbers = sorted(found, reverse=True)
    match policy.WhichOneof("policy_choice"):
        case "specific":
            numbers = [number for number in numbers if number in policy.specific.versions]
            return numbers, len(numbers)
        case "all":
            return numbers, len(numbers)
        case _:
            return numbers, policy.latest.num_versions or 1


def _check(model: ModelConfig) -> None:
    if not model.name:
        raise invalid_argument("Each model should have a `name`.")
    if model.model_platform != _PLATFORM:
        raise invalid_argument(
            f"`model_platform` of {model.name!r} should be {_PLATFORM!r}. "
            f"Received: {model.model_platform!r}."
        )
    if not Path(model.base_path).is_absolute():
        raise invalid_argument(
            f"`base_path` of {model.name!r} should be absolute. Received: {model.base_path!r}."
        )
    policy = model.model_version_policy
    if policy.WhichOneof("policy_choice") == "specific" and not policy.specific.versions:
        raise invalid_argument(f"The `specific` policy of {model.name!r} should list versions.")
