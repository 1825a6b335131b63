"""What trainings need of the memory, beside what was measured, and what the machine has."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.teacher import SASRecConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.tuning import memory
from adarec_tf.tuning.memory import (
    Need,
    available_bytes,
    check_memory,
    count_teachers,
    needs_of_histories,
    needs_of_student,
    needs_of_teacher,
)
from tests.adarec_tf.tiny_scene import make_histories

MIB, GIB = 2**20, 2**30


def teacher(num_items: int, width: int, **training: object) -> float:
    needs = needs_of_teacher(num_items, SASRecConfig(hidden_dim=width), TrainingConfig(**training))
    return sum(need.num_bytes for need in needs) / MIB


def student(
    num_items: int, teacher_dim: int, batch: int, logits_items: str, student_dim: int = 32
) -> float:
    config = DistillationConfig(logits_items=logits_items)
    needs = needs_of_student(num_items, teacher_dim, student_dim, batch, config)
    return sum(need.num_bytes for need in needs) / MIB


TRAIN = SimpleNamespace(num_users=400_000, item_ids=range(10_000_000))
SAMPLED = {"loss": "sampled_softmax", "positions_per_batch": 256}
SOFTMAX = {"loss": "softmax", "positions_per_batch": 1024}


@pytest.mark.parametrize(
    ("estimate", "measured"),
    [
        # Peaks of two epochs of 400 users, in MiB, less those of 2,000 items.
        (teacher(200_000, 128, **SAMPLED), 922),
        (teacher(400_000, 128, **SAMPLED), 1793),
        (teacher(200_000, 64, **SOFTMAX), 1165),
        (teacher(100_000, 64, **SOFTMAX | {"positions_per_batch": 512}), 446),
        (teacher(200_000, 128, **SAMPLED | {"num_teachers": 3}), 1426),
        (student(200_000, 128, 256, "sampled"), 1168),
        (student(200_000, 128, 256, "sampled", 96), 1308),
        (student(100_000, 64, 1024, "all"), 821),
        (student(200_000, 128, 256, "sampled"), 1195),  # the search
        (student(100_000, 64, 1024, "all"), 843),  # likewise
        # Two splits read, halved and sampled.
        (needs_of_histories(TRAIN).num_bytes / MIB, 425),
    ],
)
def test_estimates_are_near_the_peaks_that_were_measured(estimate: float, measured: float) -> None:
    assert estimate == pytest.approx(measured, rel=0.25)


def test_each_part_grows_with_what_it_is_of() -> None:
    assert teacher(1000, 64, **SAMPLED) < teacher(1000, 64, **SAMPLED | {"num_teachers": 3})
    assert teacher(1000, 64, **SAMPLED) < teacher(1000, 64, **SAMPLED | {"loss": "gbce"})
    one, two = (needs_of_student(1000, 64, width, 256, DistillationConfig()) for width in (8, 16))
    assert one[0].num_bytes < two[0].num_bytes
    assert one[1] == two[1]


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A file system whose machine has 5 MiB free, where this process has 3."""
    for name, text in {
        "proc/meminfo": "MemTotal:  9216 kB\nMemAvailable:  5120 kB\nHugePages_Total:  0\n",
        "proc/self/status": "Name:\tpython\nVmRSS:\t  3072 kB\n",
        "proc/self/cgroup": "3:cpu:/a\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def limit(machine: Path, groups: str, file: str, value: str) -> int | None:
    (machine / "proc/self/cgroup").write_text(groups)
    path = machine / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")
    return available_bytes(machine)


def test_what_is_free_and_what_this_process_has_is_available(machine: Path) -> None:
    assert available_bytes(machine) == 8 * MIB


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/\n", "memory.max"),
        ("0::/user/job\n", "user/job/memory.max"),
        ("0::/user/job\n", "user/memory.max"),
        ("4:cpu:/job\n2:memory:/job\n", "memory/job/memory.limit_in_bytes"),
        ("2:memory:/docker/named-outside\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_a_limit_of_a_control_group_bounds_it(groups: str, file: str, machine: Path) -> None:
    assert limit(machine, groups, file, str(2 * MIB)) == 2 * MIB
    assert limit(machine, groups, file, str(20 * MIB)) == 8 * MIB
    assert limit(machine, groups, file, "max") == 8 * MIB


def test_a_machine_that_does_not_tell_is_not_known(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None


def test_this_machine_tells() -> None:
    found = available_bytes()
    assert found is None or 50 * MIB < found < 2**50


NEEDS = [
    Need("the histories", 1 * GIB, "bring fewer"),
    Need("the item tables", 3 * GIB, "lower teacher.hidden_dim"),
    Need("the scores", 2 * GIB, "sample them"),
]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(memory, "_PROGRAM_BYTES", 0.5 * GIB)
    monkeypatch.setattr(memory, "available_bytes", lambda: 7 * GIB)
    return monkeypatch


def test_what_fits_passes_and_what_does_not_says_what_to_change(free: pytest.MonkeyPatch) -> None:
    check_memory("The training", NEEDS)
    with pytest.raises(
        ValueError,
        match=r"^The training should fit the memory that is free, 7\.0 GB\. Received: it needs "
        r"about 13\.0 GB, 6\.0 GB of them for the item tables; lower teacher\.hidden_dim\.$",
    ):
        check_memory("The training", NEEDS, num_workers=2)


def test_where_the_memory_is_not_known_everything_passes(free: pytest.MonkeyPatch) -> None:
    free.setattr(memory, "available_bytes", lambda: None)
    check_memory("The training", NEEDS, num_workers=100)


def test_with_a_gpu_only_histories_are_in_this_memory(free: pytest.MonkeyPatch) -> None:
    free.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    check_memory("The training", NEEDS, num_workers=4)
    with pytest.raises(ValueError, match="for the histories; bring fewer"):
        check_memory("The training", NEEDS, num_workers=5)


@pytest.mark.parametrize(
    ("num_teachers", "num_cores", "gigabytes", "expected"),
    [(3, 8, 7, 3), (9, 4, 7, 4), (9, 8, 1.3, 2), (9, 8, 0.1, 1), (9, 8, None, 8)],
)
def test_as_many_teachers_are_trained_at_a_time_as_there_are_cores_and_memory(
    num_teachers: int,
    num_cores: int,
    gigabytes: float | None,
    expected: int,
    free: pytest.MonkeyPatch,
) -> None:
    available = None if gigabytes is None else gigabytes * GIB
    free.setattr(memory, "available_bytes", lambda: available)
    free.setattr(memory.os, "sched_getaffinity", lambda process: set(range(num_cores)))
    scene = (make_histories([[1, 2]]), TrainingConfig(), 100, tf.distribute.get_strategy())
    assert count_teachers(num_teachers, SASRecConfig(hidden_dim=8), *scene) == expected
    free.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert count_teachers(num_teachers, SASRecConfig(hidden_dim=8), *scene) == 1
