"""The student's architecture for a dataset: what students cost here, and a search by it."""

import os
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.recipe import Decision, apply_decisions
from adarec_tf.config.search import Budget, SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.dataset import Dataset
from adarec_tf.data.histories.histories import Histories, sample_users
from adarec_tf.distillation.distiller import train_student
from adarec_tf.distillation.ensemble import EnsembleTeacher, as_one_teacher
from adarec_tf.export.profile import find_costs, has_loose_budget
from adarec_tf.models.next_item_model import NextItemModel
from adarec_tf.models.same_items import check_same_items
from adarec_tf.models.students import Genotype, Student
from adarec_tf.search.searcher import SearchResult, search_genotype
from adarec_tf.search.space.search_space import given_genotype
from adarec_tf.training.devices import count_workers_here
from adarec_tf.tuning.by_hand import go_with
from adarec_tf.tuning.memory import check_memory, needs_of_histories, needs_of_student
from adarec_tf.tuning.priors import student_decisions
from adarec_tf.tuning.scene_profile import profile_scene
from adarec_tf.tuning.student_recipe import size_of


class FoundGenotype(NamedTuple):
    """An architecture, and how it was found.

    Attributes:
      genotype: the student's architecture.
      search: None where the architecture was given.
    """

    genotype: Genotype
    search: SearchResult | None


def search(
    teacher: NextItemModel | Sequence[NextItemModel],
    dataset: Dataset,
    *,
    budget: Budget | None = None,
    student: StudentConfig | None = None,
    search: SearchConfig | None = None,
    distillation: DistillationConfig | None = None,
    seed: int = 0,
    checkpoint_dir: str | None = None,
    log_dir: str | None = None,
) -> Genotype:
    """Searches the architecture of a student for a dataset, with the teacher's help.

    Examples:
        >>> genotype = ar.search(teacher, data, budget=ar.Budget(latency_ms=5.0))
        >>> len(genotype.cells)
        2

    Args:
      teacher: trained on the dataset; or several.
      dataset: train histories to learn from, valid ones to choose on.
      budget: upper bounds that the student has to keep; None is no bound.
      student: width, number of cells and number format; decided from the dataset if None.
      search: how long and by which method; decided from the dataset if None.
      distillation: what the supernet learns from the teacher; decided from the dataset if None.
      seed: equal seed, settings and data find the equal genotype.
      checkpoint_dir: where an interrupted search continues from; None keeps nothing.
      log_dir: where TensorBoard finds the numbers of the search; None writes none.

    Returns:
      The architecture, for `distill`.

    Raises:
      ValueError: the teacher knows other items than the dataset, or no student keeps the budget.
    """
    model = _teacher_for(teacher, dataset)
    decisions = decide_student(model, dataset, student)
    search = search or apply_decisions(decisions, "search", SearchConfig(), ())
    bounds = {name: bound for name, bound in (budget or Budget()).settings().items() if bound}
    with tempfile.TemporaryDirectory() as scratch:
        return find_genotype(
            model,
            dataset.train,
            dataset.valid,
            student=student or apply_decisions(decisions, "student", StudentConfig(), ()),
            search=search.replace(**bounds),
            distillation=distillation
            or apply_decisions(decisions, "distillation", DistillationConfig(), ()),
            max_length=dataset.max_length,
            seen=dataset.seen,
            seed=seed,
            checkpoint_dir=checkpoint_dir or scratch,
            log_dir=log_dir,
        ).genotype


def distill(
    teacher: keras.Model | Sequence[keras.Model],
    genotype: Genotype,
    dataset: Dataset,
    *,
    student: StudentConfig | None = None,
    config: DistillationConfig | None = None,
    seed: int = 0,
    checkpoint_dir: str | None = None,
    log_dir: str | None = None,
) -> Student:
    """Trains the student of a genotype on a dataset, with the teacher's help.

    Examples:
        >>> student = ar.distill(teacher, genotype, data, config=DistillationConfig(max_epochs=1))
        >>> student.predict(data.test, verbose=0).shape == (data.test.num_users, data.num_items)
        True

    Args:
      teacher: trained on the dataset; or several.
      genotype: the student's architecture, such as `search` finds.
      dataset: train histories to learn from, valid ones to select on.
      student: width and number format, as the search was given; decided from the dataset if None.
      config: the terms of the loss and the fit; decided from the dataset if None.
      seed: of weights, dropout and batches.
      checkpoint_dir: where an interrupted training continues from; None keeps nothing.
      log_dir: where TensorBoard finds the records; None writes none.

    Returns:
      The student with its best weights on validation.

    Raises:
      ValueError: the teacher knows other items than the dataset, or a loss is not finite.
    """
    model = _teacher_for(teacher, dataset)
    decisions = decide_student(model, dataset)
    with tempfile.TemporaryDirectory() as scratch:
        trained, _ = train_student(
            genotype,
            student or apply_decisions(decisions, "student", StudentConfig(), ()),
            model,
            dataset.train,
            dataset.valid,
            config or apply_decisions(decisions, "distillation", DistillationConfig(), ()),
            statistics=dataset.statistics,
            seed=seed,
            checkpoint_dir=checkpoint_dir or scratch,
            log_dir=log_dir,
            windows=dataset.statistics.windows,
        )
    trained.vocabulary_fingerprint = dataset.vocabulary.fingerprint
    return trained


def _teacher_for(teacher: Any, dataset: Dataset) -> Any:
    """One teacher, or several as one, each of which knows the items of the dataset."""
    for member in teacher if isinstance(teacher, list | tuple) else [teacher]:
        check_same_items(teacher=member, dataset=dataset)
    return as_one_teacher(teacher)


def decide_student(
    teacher: NextItemModel | EnsembleTeacher,
    dataset: Dataset,
    student: StudentConfig | None = None,
) -> list[Decision]:
    """What a dataset says about the student of a teacher.

    Args:
      teacher: trained; or several as one.
      dataset: what it was trained on.
      student: width and number format where they are given; the others go with them.
    """
    scene = profile_scene(dataset.train, dataset.statistics)
    decisions = student_decisions(scene, size_of(teacher), "standard")
    given = {f"student.{name}": value for name, value in student or ()}
    return go_with(decisions, given, is_bound=False)


def take_users(
    train: Histories, valid: Histories, num: int, seed: int
) -> tuple[Histories, Histories]:
    """The histories of the same users, drawn at random.

    Args:
      train: histories to learn from.
      valid: histories with targets.
      num: how many users; 0, or as many as there are: all.
      seed: of the draw.
    """
    taken = sample_users(train, num, seed)
    if taken is train:
        return train, valid
    return taken, valid.take(np.flatnonzero(np.isin(valid.user_keys, taken.user_keys)))


def find_genotype(
    teacher: NextItemModel | EnsembleTeacher,
    train: Histories,
    valid: Histories,
    *,
    student: StudentConfig,
    search: SearchConfig,
    distillation: DistillationConfig,
    max_length: int,
    seen: str,
    seed: int,
    checkpoint_dir: str,
    log_dir: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
    compute_dtype: str = "float32",
) -> FoundGenotype:
    """Finds out what students cost, and searches one; or takes the one that `search` names.

    Args:
      teacher: a trained sequence model, or several as one.
      train: histories to learn from.
      valid: histories with targets to choose on.
      student: config of the student, but for the width where that is searched.
      search: rates, epochs, budgets; or the file of a genotype.
      distillation: the terms of the loss.
      max_length: items the models see.
      seen: `exclude` or `keep`, for the validation metric.
      seed: of weights, samples and batches.
      checkpoint_dir: where an interrupted search continues from, and measured costs are kept.
      log_dir: where TensorBoard finds the numbers of the search; None writes none.
      strategy: on whose replicas the search runs; None is this process alone.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.

    Raises:
      ValueError: it does not fit the memory, no student keeps the budgets, or the given genotype
        does not.
    """
    _check_memory(teacher, train, student, search, distillation, strategy)
    is_looked_at = search.latency_budget_ms and not (
        search.cost_table or search.genotype or search.front_size
    )
    if is_looked_at and has_loose_budget(
        teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher,
        student,
        search,
        max_length=max_length,
    ):
        search = search.replace(latency_budget_ms=0.0)
    costs = find_costs(
        teacher,
        student,
        search,
        max_length=max_length,
        kept_dir=checkpoint_dir,
        strategy=strategy,
    )
    if search.genotype:
        return FoundGenotype(given_genotype(costs[0], student, search), None)
    train, valid = take_users(train, valid, search.max_users, seed)
    result = search_genotype(
        teacher,
        train,
        valid,
        costs=costs,
        student=student,
        search=search,
        distillation=distillation,
        max_length=max_length,
        seen=seen,
        seed=seed,
        checkpoint_dir=os.fspath(checkpoint_dir),
        log_dir=log_dir,
        strategy=strategy,
        compute_dtype=compute_dtype,
    )
    return FoundGenotype(result.genotype, result)


def _check_memory(
    teacher: NextItemModel | EnsembleTeacher,
    train: Histories,
    student: StudentConfig,
    search: SearchConfig,
    distillation: DistillationConfig,
    strategy: tf.distribute.Strategy | None,
) -> None:
    """Checks that the search and the distillation fit the memory.

    Args:
      teacher: or several as one.
      train: histories to learn from.
      student: its width, where the search has none.
      search: widths and batch.
      distillation: batch, and which items are scored.
      strategy: of the search.
    """
    members = teacher.members if isinstance(teacher, EnsembleTeacher) else [teacher]
    needs = needs_of_student(
        teacher.sequence_embedding.num_items,
        sum(member.sequence_embedding.hidden_dim for member in members),
        max(search.hidden_dims or (student.hidden_dim,)),
        max(search.positions_per_batch, distillation.positions_per_batch),
        distillation,
    )
    check_memory(
        "Search and distillation of the student",
        [needs_of_histories(train), *needs],
        count_workers_here(strategy or tf.distribute.get_strategy()),
    )
