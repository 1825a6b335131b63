"""Whether a training fits this machine's memory, known before it begins.

What a training needs is the sum of its largest parts. How often a table is held, and how many
scores at a time, was measured: the sums are within a quarter of the peaks of ten short trainings of
100,000 to 400,000 items.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.teacher import TeacherConfig
from adarec_tf.config.training import TrainingConfig
from adarec_tf.data.histories.histories import Histories
from adarec_tf.training.devices import worker_name

# Interpreter, TensorFlow and TFX.
_PROGRAM_BYTES = 1.4e9
# Train and validation split, each once more where they are read, halved or sampled.
_BYTES_PER_INTERACTION, _BYTES_PER_USER = 32, 300
# A table that is trained: itself, two slots of the optimizer, the best weights so far as variables
# and as arrays, and what a checkpoint is written from.
_TRAINED = 9
# Its gradient, where a step reads all rows.
_DENSE_GRADIENT = 2
# What is left of one when the next teacher is trained.
_LEFT = 2.5
# Teacher's and student's when the teacher is asked for its best items, before the training.
_ASKED = 3
# Positions of which the teacher scores the catalog at a time, to find its best items.
_TOP_ITEMS_BATCH = 1024
_FLOAT = 4  # bytes
_GIB = 2**30
_FEWER_ITEMS = "raise data.min_item_interactions for fewer items"


class Need(NamedTuple):
    """A part of what a training holds in memory.

    Attributes:
      what: it is, in words.
      num_bytes: of it.
      advice: which settings make it smaller.
    """

    what: str
    num_bytes: float
    advice: str


def needs_of_histories(train: Histories) -> Need:
    """What all splits need, by the one that is trained on."""
    num_bytes = _BYTES_PER_INTERACTION * len(train.item_ids) + _BYTES_PER_USER * train.num_users
    advice = "raise data.min_user_interactions for fewer users, or bring a part of the log"
    return Need("the histories", num_bytes, advice)


def needs_of_teacher(
    num_items: int, teacher: TeacherConfig, training: TrainingConfig
) -> list[Need]:
    """What the training of teachers needs beside the histories.

    Args:
      num_items: of the catalog.
      teacher: its width.
      training: loss, batch and number of teachers.
    """
    width, batch = teacher.hidden_dim, training.positions_per_batch
    is_dense = training.loss != "sampled_softmax"
    copies = _TRAINED + _DENSE_GRADIENT * is_dense + _LEFT * (training.num_teachers - 1)
    advice = f"lower teacher.hidden_dim (it is {width}), or {_FEWER_ITEMS}"
    needs = [Need("the item tables", _FLOAT * num_items * width * copies, advice)]
    if training.loss == "softmax":
        advice = "set training.loss=sampled_softmax, or lower training.positions_per_batch "
        scores = _FLOAT * num_items * batch
        needs.append(Need("the scores of a batch", scores, f"{advice}(it is {batch})"))
    return needs


def needs_of_student(
    num_items: int, teacher_dim: int, student_dim: int, batch: int, config: DistillationConfig
) -> list[Need]:
    """What the search or the distillation of a student needs beside the histories.

    Args:
      num_items: of the catalog.
      teacher_dim: width of the teacher; of several, of all together.
      student_dim: width of the student.
      batch: positions of a batch.
      config: which items are scored.
    """
    table = _FLOAT * num_items
    is_dense = config.logits_items == "all"
    copies = _TRAINED + _DENSE_GRADIENT if is_dense else _ASKED
    num_bytes = table * (_ASKED * teacher_dim + copies * student_dim)
    advice = f"lower teacher.hidden_dim or student.hidden_dim, or {_FEWER_ITEMS}"
    tables = Need("the item tables", num_bytes, advice)
    if not is_dense:
        num_bytes = table * _TOP_ITEMS_BATCH
        return [tables, Need("the scores of the teacher's best items", num_bytes, _FEWER_ITEMS)]
    advice = "set distillation.logits_items=sampled, or lower the positions_per_batch of "
    advice += f"search and distillation (it is {batch})"
    return [tables, Need("the scores of a batch", 2 * table * batch, advice)]


def check_memory(task: str, needs: Sequence[Need], num_workers: int = 1) -> None:
    """Checks that a training fits the memory that there is.

    Args:
      task: what is to be done, such as `The training of the teacher`.
      needs: its parts; with a GPU, the first alone is in this memory.
      num_workers: processes of this machine that do it together.

    Raises:
      ValueError: it does not fit.
    """
    if tf.config.list_physical_devices("GPU"):
        needs = needs[:1]
    needed = num_workers * (_PROGRAM_BYTES + sum(need.num_bytes for need in needs))
    available = available_bytes()
    if available is None or needed <= available:
        return
    largest = max(needs, key=lambda need: need.num_bytes)
    share = num_workers * largest.num_bytes
    raise ValueError(
        f"{task} should fit the memory that is free, {available / _GIB:.1f} GB. Received: it needs "
        f"about {needed / _GIB:.1f} GB, {share / _GIB:.1f} GB of them for {largest.what}; "
        f"{largest.advice}."
    )


def count_teachers(
    num_teachers: int,
    teacher: TeacherConfig,
    train: Histories,
    training: TrainingConfig,
    num_items: int,
    strategy: tf.distribute.Strategy,
) -> int:
    """How many teachers this machine trains at a time: one a core, as far as its memory goes.

    Args:
      num_teachers: how many there are.
      teacher: of this width.
      train: histories to learn from, which each of them holds.
      training: loss and batch.
      num_items: of the catalog.
      strategy: one by one where it has several devices or workers, or a GPU.
    """
    one = needs_of_teacher(num_items, teacher, training.replace(num_teachers=1))
    needs = [needs_of_histories(train), *one]
    is_shared = strategy.num_replicas_in_sync > 1 or worker_name(strategy)
    if is_shared or tf.config.list_physical_devices("GPU"):
        return 1
    available = available_bytes()
    each = _PROGRAM_BYTES + sum(need.num_bytes for need in needs)
    room = num_teachers if available is None else int(available / each)
    return max(1, min(num_teachers, len(os.sched_getaffinity(0)), room))


def available_bytes(root: Path = Path("/")) -> int | None:
    """The memory that this process may have, its own included; None where that is not known.

    Args:
      root: of the file system.
    """
    try:
        free = _kilobytes(root / "proc/meminfo", "MemAvailable")
        own = _kilobytes(root / "proc/self/status", "VmRSS")
        limits = list(_cgroup_limits(root))
    except (OSError, KeyError):
        return None
    return min([free + own, *limits])


def _kilobytes(path: Path, name: str) -> int:
    """A line of a file in `/proc`, in bytes."""
    lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return 1024 * int(lines[name].split()[0])


def _cgroup_limits(root: Path) -> Iterator[int]:
    """The limits of the control groups that this process is in, of either version."""
    for line in (root / "proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            group = root / "sys/fs/cgroup" / controllers / path.lstrip("/")
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            # In a container the folder may be named as outside; its own is one above then.
            for file in (folder / name for folder in (group, *group.parents)):
                text = file.read_text().strip() if file.is_file() else ""
                if text.isdecimal():
                    yield int(text)
