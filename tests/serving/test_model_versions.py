import shutil
from pathlib import Path

import grpc
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from serving import model_versions
from serving.errors import ModelError
from serving.loaded_model import LoadedModel
from serving.model_config import ModelConfig
from serving.model_versions import LoadRetries, ModelVersions, check_replaces, find_versions

State = ModelVersionStatus


class FileLoader:
    """Loads a version if its folder has a file `complete`; counts the attempts.

    Files `<name>.signature` are its signatures.
    """

    def __init__(self) -> None:
        self.attempts: list[int] = []

    def __call__(self, path: Path, version: int) -> LoadedModel:
        self.attempts.append(version)
        if not (path / "complete").exists():
            raise ModelError(grpc.StatusCode.DATA_LOSS, "incomplete")
        names = [file.stem for file in path.glob("*.signature")]
        return LoadedModel(version, {}, dict.fromkeys(names, meta_graph_pb2.SignatureDef()))


@pytest.fixture
def loader() -> FileLoader:
    return FileLoader()


@pytest.fixture
def versions(tmp_path, loader) -> ModelVersions:
    return ModelVersions(ModelConfig(name="student", base_path=str(tmp_path)), loader)


def add(folder: Path, version: int, *files: str) -> Path:
    path = folder / str(version)
    path.mkdir()
    for file in files:
        (path / file).touch()
    return path


def states(versions: ModelVersions) -> dict[int, int]:
    return {status.version: status.state for status in versions.statuses()}


def test_only_numeric_names_are_versions(tmp_path):
    for name in ["3", "12", ".tmp-13", "latest", "1.5", "-4", "²", "9223372036854775808"]:
        (tmp_path / name).mkdir()
    assert sorted(find_versions(tmp_path)) == [3, 12]


def test_the_numerically_newest_version_is_served_and_only_that(tmp_path, versions, loader):
    for version in (2, 9, 10):
        add(tmp_path, version, "complete")
    versions.refresh()
    versions.refresh()
    assert versions.available_versions == [10]
    assert loader.attempts == [10]
    assert states(versions) == {10: State.AVAILABLE}


def test_a_new_version_replaces_the_old_one(tmp_path, versions):
    add(tmp_path, 1, "complete")
    versions.refresh()
    add(tmp_path, 2, "complete")
    versions.refresh()
    with versions.lease() as model:
        assert model.version == 2
    assert [status.version for status in versions.statuses()] == [2, 1]
    assert states(versions) == {2: State.AVAILABLE, 1: State.END}
    assert versions.statuses(1)[0].status.error_code == 0


def test_the_old_version_is_unloaded_after_its_last_request(tmp_path, versions):
    add(tmp_path, 1, "complete")
    versions.refresh()
    with versions.lease() as outer:
        with versions.lease():
            add(tmp_path, 2, "complete")
            versions.refresh()
        assert states(versions) == {2: State.AVAILABLE, 1: State.UNLOADING}
        assert outer.version == 1
    assert states(versions) == {2: State.AVAILABLE, 1: State.END}


def test_a_broken_version_leaves_the_old_one_and_is_given_up(tmp_path, versions, loader):
    add(tmp_path, 1, "complete")
    versions.refresh()
    broken = add(tmp_path, 2)
    for _ in range(4):
        versions.refresh()
    assert versions.available_versions == [1]
    assert loader.attempts == [1, 2]
    (status,) = versions.statuses(2)
    assert status.state == State.END
    assert status.status.error_code == grpc.StatusCode.DATA_LOSS.value[0]
    assert status.status.error_message == "incomplete"
    (broken / "complete").touch()
    versions.refresh()
    assert versions.available_versions == [1], "a failed number is never used again"


def test_a_higher_number_works_after_a_failed_one(tmp_path, versions):
    add(tmp_path, 1)
    add(tmp_path, 2, "complete")
    add(tmp_path, 3)
    for _ in range(2):
        versions.refresh()
    assert versions.available_versions == [2]
    add(tmp_path, 4, "complete")
    versions.refresh()
    assert versions.available_versions == [4]


def test_a_copy_under_way_is_tried_again_until_it_is_complete(tmp_path, versions):
    add(tmp_path, 1, "complete")
    versions.refresh()
    path = add(tmp_path, 2)
    versions.refresh()
    (path / "half").touch()
    versions.refresh()
    assert versions.available_versions == [1]
    assert states(versions)[2] == State.LOADING
    (path / "complete").touch()
    versions.refresh()
    assert versions.available_versions == [2]
    assert not versions.tries_again


def test_a_copy_that_never_ends_is_given_up(tmp_path, versions, monkeypatch):
    monkeypatch.setattr(model_versions, "COPY_TIME_LIMIT_S", 0.0)
    path = add(tmp_path, 1)
    versions.refresh()
    (path / "half").touch()
    versions.refresh()
    assert states(versions) == {1: State.END}


@pytest.fixture
def stubborn(tmp_path, loader) -> ModelVersions:
    """Tries again as TensorFlow Serving does, without a pause."""
    config = ModelConfig(name="student", base_path=str(tmp_path))
    return ModelVersions(config, loader, LoadRetries(5, interval_s=0.0))


def test_with_retries_a_version_is_tried_as_often_as_the_stock_server_does(
    tmp_path, stubborn, loader
):
    add(tmp_path, 1, "complete")
    stubborn.refresh()
    add(tmp_path, 2)
    for _ in range(5):
        stubborn.refresh()
        assert states(stubborn) == {1: State.AVAILABLE, 2: State.LOADING}
        assert stubborn.statuses(2)[0].status.error_code == 0
    for _ in range(3):
        stubborn.refresh()
    assert loader.attempts == [1] + [2] * 6
    [status] = stubborn.statuses(2)
    assert (status.state, status.status.error_message) == (State.END, "incomplete")
    assert stubborn.available_versions == [1]


def test_with_retries_a_version_that_is_completed_late_is_served(tmp_path, stubborn):
    path = add(tmp_path, 1)
    stubborn.refresh()
    stubborn.refresh()
    assert stubborn.tries_again
    (path / "complete").touch()
    stubborn.refresh()
    assert stubborn.available_versions == [1]
    assert states(stubborn) == {1: State.AVAILABLE}


def test_retries_wait_for_one_another(tmp_path, loader):
    config = ModelConfig(name="student", base_path=str(tmp_path))
    patient = ModelVersions(config, loader, LoadRetries(5, interval_s=3600.0))
    path = add(tmp_path, 1)
    patient.refresh()
    (path / "half").touch()
    patient.refresh()
    assert loader.attempts == [1]
    assert states(patient) == {1: State.LOADING}


def test_a_copy_that_is_deleted_is_given_up(tmp_path, versions):
    path = add(tmp_path, 1)
    versions.refresh()
    path.rmdir()
    versions.refresh()
    assert states(versions) == {1: State.END}


def test_deleting_the_newest_version_rolls_back(tmp_path, versions):
    for version in (1, 2):
        add(tmp_path, version, "complete")
        versions.refresh()
    shutil.rmtree(tmp_path / "2")
    versions.refresh()
    assert versions.available_versions == [1]
    assert states(versions) == {2: State.END, 1: State.AVAILABLE}


def test_a_newer_version_keeps_all_signatures_and_an_older_one_need_not(tmp_path, versions):
    add(tmp_path, 1, "complete", "default.signature")
    versions.refresh()
    add(tmp_path, 2, "complete", "default.signature", "step.signature")
    versions.refresh()
    add(tmp_path, 3, "complete", "default.signature")
    for _ in range(2):
        versions.refresh()
    assert versions.available_versions == [2]
    [status] = versions.statuses(3)
    assert status.state == State.END
    assert "The signature 'step' should answer" in status.status.error_message
    for version in ("3", "2"):
        shutil.rmtree(tmp_path / version)
    versions.refresh()
    assert versions.available_versions == [1]


def test_the_last_version_outlives_its_folder(tmp_path, versions):
    path = add(tmp_path, 1, "complete")
    versions.refresh()
    shutil.rmtree(path)
    versions.refresh()
    assert versions.available_versions == [1]


@pytest.mark.parametrize("version", [None, 2])
def test_a_version_that_is_not_served_is_not_found(tmp_path, versions, version):
    if version:
        add(tmp_path, 1, "complete")
        versions.refresh()
    with pytest.raises(ModelError) as failure, versions.lease(version):
        pass
    assert failure.value.code == grpc.StatusCode.NOT_FOUND


def test_the_status_of_an_unknown_version_is_not_found(versions):
    with pytest.raises(ModelError) as failure:
        versions.statuses(7)
    assert failure.value.code == grpc.StatusCode.NOT_FOUND


def refreshed(versions: ModelVersions, **policy: dict) -> list[int]:
    versions.config.model_version_policy.Clear()
    versions.config.model_version_policy.MergeFrom(
        ModelConfig(model_version_policy=policy).model_version_policy
    )
    versions.refresh()
    return versions.available_versions


def test_a_policy_says_which_versions_are_served(tmp_path, versions):
    for version in (1, 2, 3, 4):
        add(tmp_path, version, "complete")
    assert refreshed(versions) == [4]
    assert refreshed(versions, latest={"num_versions": 2}) == [3, 4]
    assert refreshed(versions, all={}) == [1, 2, 3, 4]
    assert refreshed(versions, specific={"versions": [1, 3]}) == [1, 3]
    assert states(versions) == {
        4: State.END,
        3: State.AVAILABLE,
        2: State.END,
        1: State.AVAILABLE,
    }
    with versions.lease() as newest, versions.lease(1) as oldest:
        assert (newest.version, oldest.version) == (3, 1)
    with pytest.raises(ModelError), versions.lease(4):
        pass


def test_a_policy_that_allows_nothing_that_exists_changes_nothing(tmp_path, versions):
    add(tmp_path, 1, "complete")
    assert refreshed(versions) == [1]
    assert refreshed(versions, specific={"versions": [7]}) == [1]


def test_a_broken_version_does_not_count_among_the_latest(tmp_path, versions):
    for version in (1, 2, 4):
        add(tmp_path, version, "complete")
    add(tmp_path, 3)
    assert refreshed(versions, latest={"num_versions": 2}) == [2, 4]


def test_versions_retire_one_by_one_as_newer_ones_come(tmp_path, versions):
    for version in (1, 2):
        add(tmp_path, version, "complete")
    assert refreshed(versions, latest={"num_versions": 2}) == [1, 2]
    with versions.lease(1) as oldest:
        add(tmp_path, 3, "complete")
        versions.refresh()
        assert versions.available_versions == [2, 3]
        assert states(versions)[1] == State.UNLOADING
        assert oldest.version == 1
    assert states(versions)[1] == State.END


INPUTS = {"history": ("DT_STRING", 2), "k": ("DT_INT32", 0)}
OUTPUTS = {"item_ids": ("DT_STRING", 2), "scores": ("DT_FLOAT", 2)}


def signatures(inputs, outputs, name="serving_default") -> dict[str, meta_graph_pb2.SignatureDef]:
    message = meta_graph_pb2.SignatureDef()
    for tensors, infos in ((inputs, message.inputs), (outputs, message.outputs)):
        for key, (dtype, rank) in tensors.items():
            infos[key].dtype = types_pb2.DataType.Value(dtype)
            for _ in range(rank):
                infos[key].tensor_shape.dim.add(size=-1)
            infos[key].tensor_shape.SetInParent()
    return {name: message}


DEFAULT = signatures(INPUTS, OUTPUTS)
STEP = signatures({"item": ("DT_STRING", 1)}, {"session": ("DT_FLOAT", 2)}, "step")
INITIALIZATION = signatures({}, {"init": ("DT_INVALID", 0)}, "__saved_model_init_op")


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (DEFAULT, DEFAULT),
        (signatures(INPUTS, {**OUTPUTS, "more": ("DT_FLOAT", 1)}), DEFAULT),
        (DEFAULT | STEP, DEFAULT),
        (STEP, STEP),
        (DEFAULT, {}),
        (DEFAULT, DEFAULT | INITIALIZATION),
    ],
    ids=["the same", "one more output", "one more", "no default", "nothing before", "not asked"],
)
def test_what_answers_the_same_requests_is_fine(new, old):
    check_replaces(new, old)


@pytest.mark.parametrize(
    "new",
    [
        signatures({**INPUTS, "exclude_seen": ("DT_BOOL", 0)}, OUTPUTS),
        signatures({"k": INPUTS["k"]}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_INT64", 2)}, OUTPUTS),
        signatures({**INPUTS, "history": ("DT_STRING", 1)}, OUTPUTS),
        signatures(INPUTS, {"scores": OUTPUTS["scores"]}),
        signatures(INPUTS, {**OUTPUTS, "scores": ("DT_DOUBLE", 2)}),
    ],
)
@pytest.mark.parametrize("name", ["serving_default", "recommend_filtered"])
def test_what_does_not_is_refused_with_both_sides(name, new):
    old = STEP | signatures(INPUTS, OUTPUTS, name)
    [signature] = new.values()
    with pytest.raises(ModelError, match=r"history string\[\?, \?\], k int32\[\]") as failure:
        check_replaces(STEP | {name: signature}, old)
    assert failure.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert f"signature {name!r} should answer" in failure.value.message
    assert "Received: inputs" in failure.value.message


def test_a_missing_signature_is_refused_by_name_and_with_a_way_out():
    with pytest.raises(ModelError) as failure:
        check_replaces(DEFAULT | INITIALIZATION, DEFAULT | STEP)
    assert failure.value.code == grpc.StatusCode.FAILED_PRECONDITION
    for part in (
        "The signature 'step' should answer",
        "Received: signatures serving_default.",
        "under another name, or, once no client asks 'step' any more, start the server anew",
    ):
        assert part in failure.value.message
