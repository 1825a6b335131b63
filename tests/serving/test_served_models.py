import shutil
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import model_pb2

from serving.errors import ModelError
from serving.loaded_model import LoadedModel
from serving.model_config import ModelConfig
from serving.model_versions import ModelVersions
from serving.served_models import ServedModels

ALL = {"all": {}}


class CountingLoader:
    """Loads every folder but those with a file `broken`."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def __call__(self, path: Path, version: int) -> LoadedModel:
        if (path / "broken").exists():
            raise ModelError(grpc.StatusCode.DATA_LOSS, "It is broken.")
        self.loaded.append(f"{path.parent.name}/{version}")
        return LoadedModel(version, functions={}, signature_defs={})


@pytest.fixture
def loader() -> CountingLoader:
    return CountingLoader()


@pytest.fixture
def models(tmp_path, loader) -> ServedModels:
    """Serves a/2 under the name "a"; b/1 is there as well."""
    for folder in ("a/1", "a/2", "b/1"):
        (tmp_path / folder).mkdir(parents=True)
    served = ServedModels(0.01, loader)
    served.start([config("a", tmp_path / "a")])
    return served


def config(
    name: str, folder: Path, policy: dict | None = None, labels: dict[str, int] | None = None
) -> ModelConfig:
    return ModelConfig(
        name=name,
        base_path=str(folder),
        model_version_policy=policy,
        version_labels=labels,
    )


def spec(name: str, version: int = 0, label: str = "") -> model_pb2.ModelSpec:
    message = model_pb2.ModelSpec(name=name)
    if version:
        message.version.value = version
    if label:
        message.version_label = label
    return message


def code_of(models: ServedModels, asked: model_pb2.ModelSpec) -> grpc.StatusCode:
    with pytest.raises(ModelError) as failure, models.lease(asked):
        pass
    return failure.value.code


def test_a_request_finds_its_model_by_name_version_or_label(tmp_path, models):
    models.reload([config("a", tmp_path / "a", ALL)])
    models.reload([config("a", tmp_path / "a", ALL, {"stable": 1})])
    for asked, version in [(spec("a"), 2), (spec("a", 1), 1), (spec("a", label="stable"), 1)]:
        with models.lease(asked) as model:
            assert model.version == version
    assert [status.version for status in models.statuses(spec("a", label="stable"))] == [1]
    assert code_of(models, spec("a", label="canary")) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(models, spec("")) == grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(models, spec("b")) == grpc.StatusCode.NOT_FOUND
    assert code_of(models, spec("a", 3)) == grpc.StatusCode.NOT_FOUND


def test_a_new_list_replaces_the_old_one_and_keeps_what_is_loaded(tmp_path, models, loader):
    models.reload([config("a", tmp_path / "a"), config("b", tmp_path / "b")])
    assert models.available_versions == {"a": [2], "b": [1]}
    assert loader.loaded == ["a/2", "b/1"]
    models.reload([config("b", tmp_path / "b")])
    assert models.available_versions == {"b": [1]}
    assert loader.loaded == ["a/2", "b/1"]
    models.reload([])
    assert code_of(models, spec("b")) == grpc.StatusCode.NOT_FOUND


def test_a_version_of_a_new_model_that_is_in_the_making_is_not_given_up(tmp_path, models):
    for folder in ("c/1", "c/2/broken"):
        (tmp_path / folder).mkdir(parents=True)
    models.reload([config("c", tmp_path / "c")])
    [making, available] = models.statuses(spec("c"))
    assert (making.version, making.state) == (2, making.LOADING)
    assert (available.version, available.state) == (1, available.AVAILABLE)


def test_the_same_name_in_another_folder_is_another_model(tmp_path, models):
    models.reload([config("a", tmp_path / "b")])
    assert models.available_versions == {"a": [1]}


def test_a_removed_model_answers_the_requests_it_has(tmp_path, models):
    with models.lease(spec("a")) as model:
        models.reload([config("b", tmp_path / "b")])
        assert model.version == 2


def test_refresh_looks_at_every_folder(tmp_path, models, caplog):
    models.reload([config("a", tmp_path / "a"), config("b", tmp_path / "b")])
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "b" / "2").mkdir()
    models.refresh()
    assert str(tmp_path / "a") in caplog.text
    assert models.available_versions == {"a": [2], "b": [2]}


def test_a_list_that_cannot_be_served_changes_nothing(tmp_path, models):
    (tmp_path / "c").mkdir()
    (tmp_path / "d" / "1").mkdir(parents=True)
    (tmp_path / "d" / "1" / "broken").touch()
    a = config("a", tmp_path / "a", ALL)
    for refused, code, message in [
        (config("x", tmp_path / "x"), grpc.StatusCode.NOT_FOUND, "is not a folder"),
        (config("c", tmp_path / "c"), grpc.StatusCode.UNKNOWN, "has none. Push"),
        (config("d", tmp_path / "d"), grpc.StatusCode.UNKNOWN, "It is broken."),
        # As in the real server, labels are for what is available before the new list.
        (
            config("b", tmp_path / "b", labels={"stable": 1}),
            grpc.StatusCode.FAILED_PRECONDITION,
            "'stable' should name a version of 'b' that is available",
        ),
    ]:
        with pytest.raises(ModelError, match=message) as failure:
            models.reload([a, refused])
        assert failure.value.code == code
    assert models.available_versions == {"a": [2]}


def test_a_folder_that_cannot_be_read_is_named(tmp_path, models, monkeypatch):
    def refresh(model):
        raise PermissionError("not allowed")

    monkeypatch.setattr(ModelVersions, "refresh", refresh)
    with pytest.raises(ModelError, match="of the model 'b' should be readable: not allowed"):
        models.reload([config("b", tmp_path / "b")])


def test_labels_of_the_first_list_are_for_what_it_loads(tmp_path, models, loader):
    served = ServedModels(0.01, loader)
    served.start([config("a", tmp_path / "a", ALL, {"stable": 1})])
    with served.lease(spec("a", label="stable")) as model:
        assert model.version == 1
    with pytest.raises(ModelError, match="that is available"):
        ServedModels(0.01, loader).start([config("a", tmp_path / "a", labels={"old": 1})])
