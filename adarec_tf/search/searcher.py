"""The search: an epoch at a time, a trace of every epoch, a choice among the last candidates."""

import functools
import logging
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import scipy.special
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.histories.histories import Histories, split_halves
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.teacher_cache import MAX_CACHE_BYTES
from adarec_tf.models.students import Student, build_student
from adarec_tf.models.students.cost_table import CostTable, StudentShape
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.bilevel.supernet_training import SupernetTraining
from adarec_tf.search.selection.discretization import DiscretizationGap, mean_of_drawn
from adarec_tf.search.selection.evolution import RankedGenotype
from adarec_tf.search.selection.pareto import (
    Front,
    FrontStudent,
    budget_ladder,
    count_front_validations,
    evolve_within,
    find_front,
)
from adarec_tf.search.selection.selection import (
    candidate_genotypes,
    likeliest_genotype,
    ranked_genotypes,
)
from adarec_tf.search.selection.validation import SupernetValidation
from adarec_tf.search.space.alphas import ArchitectureLogits, relative_entropy
from adarec_tf.search.space.search_space import SearchSpace, reachable_spaces
from adarec_tf.search.space.weight_transfer import transfer_weights
from adarec_tf.search.task import SearchTask
from adarec_tf.training.checkpoint import EpochCheckpoint
from adarec_tf.training.devices import check_same_epoch, is_chief, mean_over_replicas, worker_name
from adarec_tf.training.fit import SELECTION_METRIC
from adarec_tf.training.progress import Progress, log_progress
from adarec_tf.training.training_log import TrainingLog

logger = logging.getLogger(__name__)

# Architectures drawn and validated at the end, beside the likeliest one.
NUM_CANDIDATES = 4
STABLE_EPOCHS = 2  # with an unchanged genotype, before a search stops
_CACHE_DIR = "teacher_states"


class SearchResult(NamedTuple):
    """What a search found.

    Attributes:
      genotype: the architecture chosen on validation.
      student: the network of this genotype, with the supernet's weights.
      candidates: the architectures compared at the end, with their validation metrics; on all users
        where the search left some out.
      trace: one record an epoch: alphas, entropy, masses, losses, genotype, validation, the costs
        of the genotype and of the operations, and how likely each number of cells is where the
        depth is searched (`depths`); that of the last epoch tells of the choice as well. Where
        widths are searched each record has its `hidden_dim`, and those of the width that was
        chosen come last.
      validation: ranks any genotype with the weights that the supernet ended with.
      gap: what was lost from the alphas to the student.
      front: students of several budgets, of all widths, measured on the users that the candidates
        were; None where `front_size` asks for none.
    """

    genotype: Genotype
    student: Student
    candidates: list[RankedGenotype]
    trace: list[dict[str, Any]]
    validation: SupernetValidation
    gap: DiscretizationGap
    front: Front | None


def search_genotype(
    teacher: keras.Model | EnsembleTeacher,
    train: Histories,
    valid: Histories,
    *,
    costs: CostTable | Sequence[CostTable],
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
    max_cache_bytes: int = MAX_CACHE_BYTES,
) -> SearchResult:
    """Searches the student's architecture for one scene.

    Args:
      teacher: a trained sequence model, or several; its losses guide the search.
      train: training histories; halved by user for weights and alphas.
      valid: histories whose targets rank candidates.
      costs: of the students; where `search.hidden_dims` names several widths, a table for each.
      student: config of the student, but for the width where that is searched.
      search: rates, epochs, weight of the cost.
      distillation: the terms of the loss.
      max_length: items the models see.
      seen: `exclude` or `keep`, for the validation metric.
      seed: equal seed, config and data find the equal genotype.
      checkpoint_dir: where an interrupted search continues from, and where the teacher's outputs
        are kept if `max_cache_bytes` allows; of several workers, one folder that all of them see.
      log_dir: where TensorBoard finds the numbers of the trace; None writes none.
      strategy: on whose replicas the search runs. Of several workers the chief writes, and all of
        them end with the same result; None is this process alone.
      compute_dtype: of the catalog logits: `float32`, or `bfloat16` where the CPU has it.
      max_cache_bytes: of the teacher's outputs that are kept; with more of them, the teacher runs
        in every step.

    Returns:
      The genotype and how it came about.

    Raises:
      ValueError: a half of the training users has no history to train on, a loss is not finite, no
        student keeps the budgets, the costs are those of other students, or workers have different
        costs or continue from different epochs.
    """
    strategy = strategy or tf.distribute.get_strategy()
    tables = [costs] if isinstance(costs, CostTable) else costs
    shape = StudentShape.of(student, teacher.sequence_embedding.num_items, max_length)
    _check_costs(tables, shape, strategy)
    task = SearchTask(
        teacher=teacher,
        halves=split_halves(train),
        valid=valid,
        search=search,
        distillation=distillation,
        seen=seen,
        seed=seed,
        # Each worker has a cache of its own, so that none reads what another is writing.
        cache_dir=os.path.join(checkpoint_dir, _CACHE_DIR, worker_name(strategy)),
        strategy=strategy,
        compute_dtype=compute_dtype,
        max_cache_bytes=max_cache_bytes,
    )
    results: list[SearchResult] = []
    for space in reachable_spaces(tables, student, search):
        loop = _SearchLoop(task, space)
        log_folder = None if log_dir is None else space.folder(log_dir)
        results.append(loop.choose(loop.run(space.folder(checkpoint_dir), log_folder)))
    return _best_result(results)


def _check_costs(
    tables: Sequence[CostTable], shape: StudentShape, strategy: tf.distribute.Strategy
) -> None:
    """Checks that they are of these students, but for the width, and the same on all workers."""
    for table in tables:
        table.check_shape(shape.replace(hidden_dim=table.shape.hidden_dim))
    # Workers that go by different costs would part ways.
    digest = float(zlib.crc32("".join(table.to_json() for table in tables).encode()))
    if mean_over_replicas(strategy, {"costs": digest})["costs"] != digest:
        raise ValueError(
            "`costs` should be equal on all workers. Received: different ones; measure them once, "
            "with `adarec profile`, and name the file in `search.cost_table`."
        )


def _best_result(results: Sequence[SearchResult]) -> SearchResult:
    """The result of the width that is best on validation, with trace and front of all widths."""
    best = max(results, key=lambda result: dict(result.candidates)[result.genotype])
    others = [record for result in results if result is not best for record in result.trace]
    front = best.front
    if front is not None:
        fronts = [result.front for result in results if result.front is not None]
        students = [student for other in fronts for student in other.students]
        front = find_front(front.searched, students, front.quantity)
    return best._replace(trace=[*others, *best.trace], front=front)


class _SearchLoop:
    """Trains the supernet of one width until the search is over, and keeps the books."""

    def __init__(self, task: SearchTask, space: SearchSpace) -> None:
        self._task = task
        self._space = space
        width = f" of width {space.student.hidden_dim}" if space.is_one_of_several else ""
        self._name = f"search{width}"
        keras.utils.set_random_seed(task.seed)
        self._training = SupernetTraining(task, space)
        self.validation = SupernetValidation(self._training.state.supernet, task)
        self._num_validated = 0  # candidates

    def run(self, checkpoint_dir: str, log_dir: str | None) -> list[dict[str, Any]]:
        """Runs the epochs that are left; returns the whole trace."""
        checkpoint = EpochCheckpoint(checkpoint_dir, self._training.state.variables)
        trace: list[dict[str, Any]] = (checkpoint.restore() or {"trace": []})["trace"]
        check_same_epoch(self._task.strategy, len(trace), checkpoint_dir)
        writes_files = is_chief(self._task.strategy)
        log = TrainingLog(log_dir if writes_files else None, map(_scalars, trace))
        while not is_finished(trace, self._task.search):
            trace.append(self._run_epoch(len(trace)))
            if writes_files:
                checkpoint.save({"trace": trace})
            log.append(_scalars(trace[-1]))
            self._log_progress(trace[-1])
        return trace

    def _run_epoch(self, epoch: int) -> dict[str, Any]:
        measured = self._training.run_epoch(epoch)
        state, costs = self._training.state, self._space.costs
        architecture_logits = self._architecture_logits()
        genotype = likeliest_genotype(architecture_logits, self._space)
        return {
            "epoch": epoch + 1,
            **self._space.record,
            "alphas_moved": self._training.alphas_move(epoch),
            **measured,
            SELECTION_METRIC: self.validation.validate(genotype),
            "entropy": relative_entropy(architecture_logits.operations),
            "student_mass": state.objective.student_mass.numpy().tolist(),
            "teacher_mass": state.objective.teacher_mass.numpy().tolist(),
            "alphas": state.alphas.numpy().tolist(),
            **self._depths(architecture_logits),
            "genotype": self._space.named(genotype).to_dict(),
            "genotype_cost": costs.cost_of(genotype)._asdict(),
            "costs": {name: cost._asdict() for name, cost in costs.operations.items()},
            "learning_rate": float(state.weight_optimizer.learning_rate),
        }

    def _depths(self, architecture_logits: ArchitectureLogits) -> dict[str, Any]:
        """How likely each number of cells is, where the depth is searched."""
        if self._space.num_optional == 0:
            return {}
        shares = scipy.special.softmax(architecture_logits.depth.astype(np.float64))
        depths = zip(map(str, self._space.depths), map(float, reversed(shares)), strict=True)
        return {"depths": dict(depths)}

    def _log_progress(self, record: dict[str, Any]) -> None:
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        log_progress(
            logger,
            Progress(self._name, record["epoch"], self._task.search.max_epochs),
            "stage=%s epoch=%d %s",
            self._name,
            record["epoch"],
            " ".join(f"{name}={value:.6g}" for name, value in numbers.items()),
        )

    def _architecture_logits(self) -> ArchitectureLogits:
        state = self._training.state
        return ArchitectureLogits(state.alphas.numpy(), state.depth_alphas.numpy())

    def choose(self, trace: list[dict[str, Any]]) -> SearchResult:
        """Ranks what the search proposes, and adds how that went to the last epoch's record."""
        task, space = self._task, self._space
        validate = functools.cache(self._validate)
        ranked = finalists = ranked_genotypes(
            self._architecture_logits(),
            validate,
            space,
            task.search,
            num_candidates=NUM_CANDIDATES,
            seed=task.seed,
        )
        judge = validate
        if self.validation.leaves_users_out:
            judge = functools.cache(self.validation.validate_on_all_users)
            first = sorted(ranked, key=lambda candidate: -candidate[1])[: NUM_CANDIDATES + 1]
            finalists = [(genotype, judge(genotype)) for genotype, _ in first]
        best = max(finalists, key=lambda candidate: candidate[1])[0]
        front = self._front(ranked, validate, judge, best) if task.search.front_size else None
        student = self._student(best)
        relaxed = mean_of_drawn(
            self._architecture_logits(),
            validate,
            student=space.student,
            num_drawn=NUM_CANDIDATES + 1,
            seed=task.seed,
        )
        gap = DiscretizationGap(relaxed, validate(best), self.validation.validate_student(student))
        named = [(space.named(genotype), metric) for genotype, metric in finalists]
        trace[-1]["selection"] = {
            "method": task.search.method,
            "num_validated": len(ranked),
            "finalists": [
                {"genotype": genotype.to_dict(), SELECTION_METRIC: metric}
                for genotype, metric in named
            ],
            **gap._asdict(),
            "gap": gap.gap,
        }
        return SearchResult(space.named(best), student, named, trace, self.validation, gap, front)

    def _validate(self, genotype: Genotype) -> float:
        """The metric of a candidate, which is told: with a large catalog it takes half a minute."""
        metric = self.validation.validate(genotype)
        self._num_validated += 1
        num_validations = count_validations(self._task.search)
        if self._num_validated <= num_validations:
            progress = Progress("candidates", self._num_validated, num_validations)
            log_progress(logger, progress, "stage=candidates %s=%.4f", SELECTION_METRIC, metric)
        return metric

    def _front(
        self,
        ranked: list[RankedGenotype],
        validate: Callable[[Genotype], float],
        judge: Callable[[Genotype], float],
        searched: Genotype,
    ) -> Front:
        """Students of several budgets, by what `judge` says of them."""
        space, search, seed = self._space, self._task.search, self._task.seed
        quantity = search.front_quantity
        ladder = budget_ladder(space, quantity, search.front_size)
        propose = functools.partial(
            candidate_genotypes, self._architecture_logits(), num_drawn=0, seed=seed
        )
        within = evolve_within(
            ladder, ranked, propose, validate, space, quantity=quantity, seed=seed
        )
        of_searched, *others = (
            FrontStudent(space.named(genotype), judge(genotype), space.costs.cost_of(genotype))
            for genotype in (searched, *within)
        )
        return find_front(of_searched, others, quantity)

    def _student(self, genotype: Genotype) -> Student:
        """The network of a genotype, with the supernet's weights."""
        shape, supernet = self._space.costs.shape, self._training.state.supernet
        student = build_student(
            self._space.named(genotype),
            self._space.student,
            shape.num_items,
            shape.max_length,
            seed=self._task.seed,
        )
        transfer_weights(student, supernet)
        return student


def count_validations(search: SearchConfig) -> int:
    """How many candidates are ranked after the last epoch, where there are as many.

    Args:
      search: its `num_evaluations` and `front_size`, to which those that the alphas propose are
        added.
    """
    of_front = count_front_validations(search.front_size)
    return NUM_CANDIDATES + 1 + search.num_evaluations + of_front


def is_finished(trace: Sequence[Mapping[str, Any]], search: SearchConfig) -> bool:
    """Whether all epochs are over, or the genotype has not changed since the alphas moved on.

    Args:
      trace: one record an epoch; only `genotype` and `alphas_moved` are read.
      search: its epochs.
    """
    genotypes = [record["genotype"] for record in trace if record["alphas_moved"]]
    recent = genotypes[-(STABLE_EPOCHS + 1) :]
    is_stable = len(recent) > STABLE_EPOCHS and all(g == recent[0] for g in recent)
    return len(trace) >= search.max_epochs or is_stable


def _scalars(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's record, the mass of each layer and how likely each depth is."""
    numbers = {name: value for name, value in record.items() if isinstance(value, float)}
    masses = {
        f"{name}/layer_{layer}": mass
        for name in ("student_mass", "teacher_mass")
        for layer, mass in enumerate(record[name], start=1)
    }
    depths = {f"depth/{cells}_cells": share for cells, share in record.get("depths", {}).items()}
    return {**numbers, **masses, **depths}
