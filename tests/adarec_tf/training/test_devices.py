import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from adarec_tf.training.devices import (
    OwnRows,
    choose_strategy,
    count_workers_here,
    is_chief,
    mean_over_replicas,
    rows_of_replica,
    set_threads,
)
from tests.adarec_tf.device_processes import cluster, start, start_workers, wait
from tests.event_files import read_scalars

SCRIPT = Path(__file__).parents[1] / "train_on_devices.py"


@pytest.mark.parametrize(("variables", "expected"), [({}, 1), ({"TF_NUM_INTRAOP_THREADS": "3"}, 0)])
def test_operations_have_one_thread_or_what_the_environment_says(
    variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    threads = {"inter": 0, "intra": 0}  # 0: TensorFlow decides, or the environment
    for kind in threads:
        name = f"set_{kind}_op_parallelism_threads"
        monkeypatch.setattr(tf.config.threading, name, partial(threads.__setitem__, kind))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    set_threads()
    assert threads == {"inter": 1, "intra": expected}


@pytest.mark.parametrize("variable", [None, cluster([7000], 0)])
def test_one_device_needs_no_strategy(
    monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if variable is not None:
        monkeypatch.setenv("TF_CONFIG", variable)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert choose_strategy() is tf.distribute.get_strategy()
    assert is_chief(choose_strategy())


def test_more_devices_are_all_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0", "GPU:1"])
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "all GPUs")
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "all workers")
    assert choose_strategy() == "all GPUs"
    monkeypatch.setenv("TF_CONFIG", cluster([7000, 7001], 1))
    assert choose_strategy() == "all workers"


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        (("worker",), ("worker", 0), True),
        (("worker",), ("worker", 1), False),
        (("chief", "worker"), ("chief", 0), True),
        (("chief", "worker"), ("worker", 0), False),
    ],
)
def test_one_worker_is_the_chief(
    monkeypatch: pytest.MonkeyPatch, jobs: tuple[str], task: tuple[str, int], expected: bool
) -> None:
    addresses = {job: ["127.0.0.1:7000", "127.0.0.1:7001"] for job in jobs}
    described = {"cluster": addresses, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(described))
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert is_chief(SimpleNamespace(cluster_resolver=resolver)) is expected


@pytest.mark.parametrize(
    ("task", "expected"),
    [(("chief", 0), 3), (("worker", 1), 3), (("worker", 2), 1), (("ps", 0), 3)],
)
def test_workers_of_this_machine_are_counted(
    monkeypatch: pytest.MonkeyPatch, task: tuple[str, int], expected: int
) -> None:
    jobs = {"chief": ["a:1"], "worker": ["a:2", "a:3", "b:1"], "ps": ["a:4"]}
    described = {"cluster": jobs, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(described))
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    assert count_workers_here(SimpleNamespace(cluster_resolver=resolver)) == expected
    monkeypatch.delenv("TF_CONFIG")
    assert count_workers_here(tf.distribute.get_strategy()) == 1


def rows_of(replica: int, num_replicas: int, labels: list[list[int]]) -> OwnRows:
    context = SimpleNamespace(replica_id_in_sync_group=replica, num_replicas_in_sync=num_replicas)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.distribute, "get_replica_context", lambda: context)
        own = rows_of_replica(tf.constant(labels, tf.int64))
    return OwnRows(own.rows.numpy().tolist(), own.positions.numpy().tolist(), float(own.share))


def test_replicas_share_the_rows_by_their_labels() -> None:
    labels = [[0, 1], [2, 3], [0, 4], [5, 6], [0, 7]]
    shares = [rows_of(replica, 2, labels) for replica in range(2)]
    assert [own.rows for own in shares] == [[0, 2, 4], [1, 3]]
    # Of the labels 1 to 7, counted from 0.
    assert [own.positions for own in shares] == [[0, 3, 6], [1, 2, 4, 5]]
    assert [own.share for own in shares] == pytest.approx([3 / 7, 4 / 7])


@pytest.mark.parametrize("labels", [[[1, 2]], [[1, 2], [0, 0], [3, 0]]])
def test_a_replica_without_labels_weighs_nothing_and_has_something_to_compute(
    labels: list[list[int]],
) -> None:
    own = rows_of(1, 2, labels)
    assert own.share == 0
    assert own.rows == list(range(len(labels)))
    assert own.positions == list(range(np.count_nonzero(labels)))
    assert rows_of(0, 2, labels).share == 1


def test_a_single_device_has_no_mean_to_compute() -> None:
    assert mean_over_replicas(tf.distribute.get_strategy(), {"a": 0.1}) == {"a": 0.1}


def weights_of(path: Path, kind: str) -> list[np.ndarray]:
    with np.load(path) as stored:
        count = sum(name.startswith(kind) for name in stored.files)
        return [stored[f"{kind}/{number}"] for number in range(count)]


def losses_of(path: Path) -> list[float]:
    with np.load(path) as stored:
        return [record["loss"] for record in json.loads(str(stored["history"]))]


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("single")
    wait([start(SCRIPT, "one", folder, "single")], folder)
    return folder / "single.npz"


@pytest.mark.slow
def test_two_devices_train_what_one_trains(tmp_path: Path, single: Path) -> None:
    wait([start(SCRIPT, "two", tmp_path, "both")], tmp_path)
    path = tmp_path / "both.npz"
    assert losses_of(path) == pytest.approx(losses_of(single), rel=1e-5)
    for expected, weights in zip(
        weights_of(single, "trained"), weights_of(path, "trained"), strict=True
    ):
        np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_two_workers_train_what_one_process_trains(tmp_path: Path, single: Path) -> None:
    names = ["chief", "other"]
    wait(start_workers(SCRIPT, tmp_path, names), tmp_path)
    expected = weights_of(single, "trained")
    for name in names:
        path = tmp_path / f"{name}.npz"
        assert losses_of(path) == pytest.approx(losses_of(single), rel=1e-5)
        for kind in ("trained", "continued"):
            chiefs = weights_of(tmp_path / "chief.npz", "trained")
            for one, own, chief in zip(expected, weights_of(path, kind), chiefs, strict=True):
                np.testing.assert_array_equal(own, chief)
                np.testing.assert_allclose(own, one, rtol=1e-5, atol=1e-5)
    logged = read_scalars(tmp_path / "log" / "chief" / "train")
    assert [epoch for epoch, _ in logged["epoch_loss"]] == [0, 1]
    assert not (tmp_path / "log" / "other").exists()  # the chief alone writes
