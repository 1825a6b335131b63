"""The files for the stock image, read as the tools that use them read them."""

from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

FOLDER = Path(__file__).parents[2] / "serving" / "model_server"


@pytest.fixture
def model_config():
    text = (FOLDER / "models.config").read_text()
    server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (config,) = server.model_config_list.config
    return config


@pytest.fixture
def service():
    return yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]["model_server"]


def test_the_model_has_the_name_clients_ask_for(model_config):
    assert model_config.name == "student"
    assert model_config.model_platform == "tensorflow"
    assert model_config.base_path.startswith("/"), "the server refuses relative paths"
    assert not model_config.HasField("model_version_policy"), "the default: latest 1"


def test_the_container_mounts_what_the_configuration_names(service, model_config):
    targets = {volume["target"]: volume for volume in service["volumes"]}
    assert model_config.base_path in targets
    assert all(volume["read_only"] for volume in targets.values())
    for flag in service["command"]:
        _, _, value = flag.partition("=")
        if value.startswith("/"):
            path = Path(value)
            assert str(path.parent) in targets
            assert (FOLDER / path.name).is_file()


def test_the_container_offers_grpc_rest_and_health(service):
    assert service["ports"] == ["8500:8500", "8501:8501"]
    assert "--enable_grpc_healthcheck_service=true" in service["command"]
    assert "/v1/models/student" in service["healthcheck"]["test"][-1]
    assert not any("batching" in flag for flag in service["command"])
