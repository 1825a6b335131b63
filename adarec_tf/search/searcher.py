"""The search: an epoch at a time, a trace of every epoch, a choice among the last candidates."""

import functools
import json
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
from adarec_tf.models.students import Student, build_student
from adarec_tf.models.students.cost_table import CostTable, StudentShape
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.bilevel.supernet_training import SearchSettings, SupernetTraining
from adarec_tf.search.cost.budget import SETTINGS, budget_of
from adarec_tf.search.cost.cost import relative_costs
from adarec_tf.search.selection.discretization import DiscretizationGap, mean_of_drawn
from adarec_tf.search.selection.evolution import RankedGenotype
from adarec_tf.search.selection.pareto import (
    Front,
    FrontStudent,
    best_within,
    budget_ladder,
    find_front,
)
from adarec_tf.search.selection.selection import likeliest_genotype, ranked_genotypes
from adarec_tf.search.selection.validation import SupernetValidation
from adarec_tf.search.space.alphas import Logits, alphas_scale, relative_entropy
from adarec_tf.search.space.search_space import SearchSpace, reachable_spaces
from adarec_tf.search.space.weight_transfer import transfer_weights
from adarec_tf.training.checkpoint import EpochCheckpoint
from adarec_tf.training.devices import check_same_epoch, is_chief, mean_over_replicas, worker_name
from adarec_tf.training.fit import SELECTION_METRIC
from adarec_tf.training.progress import Progress, log_progress
from adarec_tf.training.training_log import TrainingLog

logger = logging.getLogger(__name__)

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
    trace_path: str,
    log_dir: str | None = None,
    strategy: tf.distribute.Strategy | None = None,
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
        are kept if `distillation.max_cache_bytes` allows; of several workers, one folder that all
        of them see.
      trace_path: the trace is written here when the search ends, a JSON line an epoch.
      log_dir: where TensorBoard finds the numbers of the trace; None writes none.
      strategy: on whose replicas the search runs. Of several workers the chief writes, and all of
        them end with the same result; None is this process alone.

    Returns:
      The genotype and how it came about.

    Raises:
      ValueError: a half of the training users has no history to train on, a loss is not finite, no
        student keeps the budgets, the costs are those of other students, or workers have different
        costs or continue from different epochs.
    """
    strategy = strategy or tf.distribute.get_strategy()
    settings = SearchSettings(student, search, distillation, max_length, seen, seed, strategy)
    tables = [costs] if isinstance(costs, CostTable) else costs
    _check_costs(tables, teacher.sequence_embedding.num_items, settings)
    spaces = reachable_spaces(tables, student, search)
    # Each worker has a cache of its own, so that none reads what another is writing.
    cache_dir = os.path.join(checkpoint_dir, _CACHE_DIR, worker_name(strategy))
    halves = split_halves(train)
    results: list[SearchResult] = []
    for space in spaces:
        of_width = settings._replace(student=space.student)
        loop = _SearchLoop(teacher, halves, valid, of_width, space, cache_dir)
        log_folder = None if log_dir is None else space.folder(log_dir)
        results.append(loop.choose(loop.run(space.folder(checkpoint_dir), log_folder)))
    result = _best_result(results)
    if is_chief(strategy):
        with tf.io.gfile.GFile(trace_path, "w") as file:
            file.write("".join(json.dumps(record) + "\n" for record in result.trace))
    return result


def _check_costs(tables: Sequence[CostTable], num_items: int, settings: SearchSettings) -> None:
    """Checks that the costs are those of this search's students, and the same on all workers."""
    for table in tables:
        of_width = settings.student.replace(hidden_dim=table.shape.hidden_dim)
        table.check_shape(StudentShape.of(of_width, num_items, settings.max_length))
    digest = float(zlib.crc32("".join(table.to_json() for table in tables).encode()))
    if mean_over_replicas(settings.strategy, {"costs": digest})["costs"] != digest:
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
    """Trains the supernet until the search is over, and keeps the books."""

    def __init__(
        self,
        teacher: keras.Model | EnsembleTeacher,
        halves: tuple[Histories, Histories],
        valid: Histories,
        settings: SearchSettings,
        space: SearchSpace,
        cache_dir: str,
    ) -> None:
        self._settings = settings
        self._space = space
        width = f" of width {space.student.hidden_dim}" if space.is_one_of_several else ""
        self._name = f"search{width}"
        prices = relative_costs(
            space.costs,
            num_cells=space.num_alike,
            latency_share=settings.search.cost_latency_share,
        )
        # After the costs: measuring draws weights of its own.
        keras.utils.set_random_seed(settings.seed)
        self._training = SupernetTraining(
            teacher, halves, prices, space.budgets, settings, cache_dir
        )
        self.validation = SupernetValidation(
            self._training.state.supernet,
            valid,
            max_users=settings.search.validation_users,
            max_length=settings.max_length,
            seen=settings.seen,
            seed=settings.seed,
        )

    def run(self, checkpoint_dir: str, log_dir: str | None) -> list[dict[str, Any]]:
        """Runs the epochs that are left; returns the whole trace."""
        checkpoint = EpochCheckpoint(checkpoint_dir, self._training.state.variables)
        trace: list[dict[str, Any]] = (checkpoint.restore() or {"trace": []})["trace"]
        check_same_epoch(self._settings.strategy, len(trace), checkpoint_dir)
        writes_files = is_chief(self._settings.strategy)
        log = TrainingLog(log_dir if writes_files else None, map(_scalars, trace))
        while not is_finished(trace, self._settings.search):
            trace.append(self._run_epoch(len(trace)))
            if writes_files:
                checkpoint.save({"trace": trace})
            log.append(_scalars(trace[-1]))
            self._log_progress(trace[-1])
        return trace

    def choose(self, trace: list[dict[str, Any]]) -> "SearchResult":
        """Ranks what the search proposes, and adds how that went to the last epoch's record."""
        settings = self._settings
        logits = self._logits(len(trace) - 1)
        validate = functools.cache(self.validation.validate)
        ranked = ranked_genotypes(
            logits,
            validate,
            self._space.budgets,
            student=settings.student,
            search=settings.search,
            seed=settings.seed,
        )
        found = self._finalists(ranked)
        best = max(found, key=lambda candidate: candidate[1])[0]
        front = self._front(logits, validate, ranked, best) if settings.search.front_size else None
        student = self._student(best)
        finalists = [(self._space.named(genotype), metric) for genotype, metric in found]
        gap = DiscretizationGap(
            self._relaxed_metric(logits, validate),
            validate(best),
            self.validation.validate_student(student),
        )
        trace[-1]["selection"] = {
            "method": settings.search.method,
            "num_validated": len(ranked),
            "finalists": [
                {"genotype": genotype.to_dict(), SELECTION_METRIC: metric}
                for genotype, metric in finalists
            ],
            **gap._asdict(),
            "gap": gap.gap,
        }
        return SearchResult(
            self._space.named(best), student, finalists, trace, self.validation, gap, front
        )

    def _relaxed_metric(self, logits: Logits, validate: Callable[[Genotype], float]) -> float:
        if self._settings.search.execution == "mixture":
            return self.validation.validate_mixture(logits.operations)
        return mean_of_drawn(
            logits,
            validate,
            student=self._settings.student,
            num_drawn=self._settings.search.num_candidates + 1,
            seed=self._settings.seed,
        )

    def _finalists(self, ranked: list[RankedGenotype]) -> list[RankedGenotype]:
        """The best, ranked again by all validation users where some were left out."""
        if not self.validation.leaves_users_out:
            return ranked
        first = sorted(ranked, key=lambda candidate: -candidate[1])
        return [
            (genotype, self.validation.validate_on_all_users(genotype))
            for genotype, _ in first[: self._settings.search.num_candidates + 1]
        ]

    def _front(
        self,
        logits: Logits,
        validate: Callable[[Genotype], float],
        ranked: list[RankedGenotype],
        searched: Genotype,
    ) -> Front:
        settings, search, space = self._settings, self._settings.search, self._space
        rung = budget_of(
            SETTINGS[search.front_quantity], 0.0, space.costs, num_cells=space.num_alike
        )
        ladder = budget_ladder(
            rung,
            space.budgets,
            num_edges=len(logits.operations),
            num_nodes=settings.student.num_nodes,
            size=search.front_size,
            num_optional=space.num_optional,
        )
        best = best_within(
            ladder,
            ranked,
            logits,
            validate,
            space.budgets,
            student=settings.student,
            search=search,
            seed=settings.seed,
        )
        if self.validation.leaves_users_out:
            validate = functools.cache(self.validation.validate_on_all_users)
        of_searched, *others = (
            FrontStudent(space.named(genotype), validate(genotype), space.costs.cost_of(genotype))
            for genotype in (searched, *best)
        )
        return find_front(of_searched, others, search.front_quantity)

    def _logits(self, epoch: int) -> Logits:
        """The scaled alphas of an epoch that is over."""
        scale = np.float32(alphas_scale(self._settings.search, epoch))
        state = self._training.state
        return Logits(scale * state.alphas.numpy(), scale * state.depth_alphas.numpy())

    def _student(self, genotype: Genotype) -> Student:
        """The network of a genotype, with the supernet's weights."""
        settings, supernet = self._settings, self._training.state.supernet
        student = build_student(
            self._space.named(genotype),
            settings.student,
            supernet.sequence_embedding.num_items,
            settings.max_length,
            seed=settings.seed,
        )
        transfer_weights(student, supernet)
        return student

    def _run_epoch(self, epoch: int) -> dict[str, Any]:
        measured = self._training.run_epoch(epoch)
        state = self._training.state
        logits = self._logits(epoch)
        genotype = likeliest_genotype(logits, self._settings.student, self._space.budgets)
        return {
            "epoch": epoch + 1,
            **self._space.record,
            "alphas_moved": self._training.alphas_move(epoch),
            **measured,
            SELECTION_METRIC: self.validation.validate(genotype),
            "entropy": relative_entropy(logits.operations),
            "student_mass": state.objective.student_mass.numpy().tolist(),
            "teacher_mass": state.objective.teacher_mass.numpy().tolist(),
            "alphas": state.alphas.numpy().tolist(),
            **self._depths(logits),
            "alphas_scale": alphas_scale(self._settings.search, epoch),
            "genotype": self._space.named(genotype).to_dict(),
            "genotype_cost": self._space.costs.cost_of(genotype)._asdict(),
            "costs": {name: cost._asdict() for name, cost in self._space.costs.operations.items()},
            "learning_rate": float(state.weight_optimizer.learning_rate),
        }

    def _depths(self, logits: Logits) -> dict[str, Any]:
        """How likely each number of cells is, where the depth is searched."""
        if self._space.num_optional == 0:
            return {}
        shares = scipy.special.softmax(logits.depth_logits.astype(np.float64))
        most = self._settings.student.num_cells
        depths = {str(most - absent): float(share) for absent, share in enumerate(shares)}
        return {"depths": dict(reversed(depths.items()))}

    def _log_progress(self, record: dict[str, Any]) -> None:
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        log_progress(
            logger,
            Progress(self._name, record["epoch"], self._settings.search.max_epochs),
            "stage=%s epoch=%d %s",
            self._name,
            record["epoch"],
            " ".join(f"{name}={value:.6g}" for name, value in numbers.items()),
        )


def is_finished(trace: Sequence[Mapping[str, Any]], search: SearchConfig) -> bool:
    """Whether all epochs are over, or the genotype has not changed since the alphas moved on.

    Args:
      trace: one record an epoch; only `genotype` and `alphas_moved` are read.
      search: epochs and patience.
    """
    genotypes = [record["genotype"] for record in trace if record["alphas_moved"]]
    recent = genotypes[-(search.patience + 1) :]
    is_stable = len(recent) > search.patience and all(g == recent[0] for g in recent)
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
