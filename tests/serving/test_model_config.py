import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ModelError
from serving.model_config import allowed_versions, read_model_config_file, read_model_configs

STUDENT = 'name: "student" base_path: "/models/student" model_platform: "tensorflow"'


def read(*models: str) -> list[model_server_config_pb2.ModelConfig]:
    text = "".join(f"config {{ {model} }}" for model in models)
    message = model_server_config_pb2.ModelServerConfig()
    return read_model_configs(text_format.Parse(f"model_config_list {{ {text} }}", message))


@pytest.mark.parametrize(
    ("policy", "versions", "num_wanted"),
    [
        ("", [7, 5, 2], 1),
        ("model_version_policy { latest {} }", [7, 5, 2], 1),
        ("model_version_policy { latest { num_versions: 2 } }", [7, 5, 2], 2),
        ("model_version_policy { all {} }", [7, 5, 2], 3),
        ("model_version_policy { specific { versions: 2 versions: 5 versions: 9 } }", [5, 2], 2),
    ],
)
def test_a_policy_says_which_versions_are_wanted(policy, versions, num_wanted):
    [config] = read(f"{STUDENT} {policy}")
    assert allowed_versions(config.model_version_policy, {2, 7, 5}) == (versions, num_wanted)


def test_labels_are_read():
    [config] = read(f'{STUDENT} version_labels {{ key: "stable" value: 4 }}')
    assert config.version_labels == {"stable": 4}


def test_a_list_may_be_empty():
    assert read() == []


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([STUDENT, STUDENT], "listed once. Received: 'student' more than once"),
        ([STUDENT.replace('"student"', '""')], "should have a `name`"),
        ([STUDENT.replace("/models", "models")], "should be absolute. Received: 'models/student'"),
        ([STUDENT.replace('"tensorflow"', '"other"')], "should be 'tensorflow'. Received: 'other'"),
        ([f"{STUDENT} model_version_policy {{ specific {{}} }}"], "should list versions"),
    ],
)
def test_a_model_that_is_not_allowed_is_an_invalid_argument(models, message):
    with pytest.raises(ModelError, match=message) as failure:
        read(*models)
    assert failure.value.code == grpc.StatusCode.INVALID_ARGUMENT


def test_another_kind_of_configuration_is_an_invalid_argument():
    with pytest.raises(ModelError, match="`model_config_list`"):
        read_model_configs(model_server_config_pb2.ModelServerConfig())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list { config { nme: 3 } }", "in text format, as the stock server reads it"),
        ("model_config_list {}", "should list at least one model"),
    ],
)
def test_a_file_that_is_not_allowed_is_named(tmp_path, text, message):
    file = tmp_path / "models.config"
    file.write_text(text)
    with pytest.raises(ModelError, match=message) as failure:
        read_model_config_file(file)
    assert str(file) in failure.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        read_model_config_file(tmp_path / "nowhere")
