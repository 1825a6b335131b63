"""The search: alternating steps, a trace of every epoch, a choice among the last candidates."""

import itertools
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.checkpoint import EpochCheckpoint
from adarec_tf.config import StudentConfig
from adarec_tf.data.batches import Batch, next_item_batches
from adarec_tf.data.examples import Histories, split_halves
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.initial_table import initialise_table
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation_config import DistillationConfig
from adarec_tf.metrics.protocols import evaluate_full
from adarec_tf.progress import Progress, log_progress
from adarec_tf.search.alphas import (
    OPERATIONS,
    SampledEdges,
    derive_genotype,
    draw_operations,
    fixed_edges,
    genotype_of,
    initial_alphas,
    operations_of,
    relative_entropy,
)
from adarec_tf.search.architect import SearchState, build_alpha_step, build_weight_step
from adarec_tf.search.cost import measure_costs, measure_encoder, relative_costs
from adarec_tf.search.inherit import inherit_weights
from adarec_tf.search.supernet import Supernet
from adarec_tf.search_config import SearchConfig
from adarec_tf.sequence_model import PAD
from adarec_tf.students import Student, build_student
from adarec_tf.students.genotype import Genotype, edge_ends
from adarec_tf.students.primitives import NONE, SKIP
from adarec_tf.training_log import TrainingLog
from adarec_tf.training_loop import SELECTION_METRIC, build_optimizer

logger = logging.getLogger(__name__)

_MAX_DRAWS = 200
# Between repetitions of the alphas' half within an epoch: further than any search has epochs.
_EPOCH_STRIDE = 10_000


class SearchResult(NamedTuple):
    """What a search found.

    Attributes:
      genotype: the architecture chosen on validation.
      student: the network of this genotype, with the supernet's weights.
      candidates: every architecture compared at the end, with its validation metric.
      trace: one record an epoch: alphas, entropy, masses, losses, genotype, validation, and the
        measured costs of the operations.
    """

    genotype: Genotype
    student: Student
    candidates: list[tuple[Genotype, float]]
    trace: list[dict[str, Any]]


def search_genotype(
    teacher: keras.Model | EnsembleTeacher,
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
    trace_path: str,
    log_dir: str | None = None,
) -> SearchResult:
    """Searches the student's architecture for one scene.

    Args:
      teacher: a trained sequence model, or several; its losses guide the search, and one of them is
        the unit of the cost.
      train: training histories; halved by user for weights and alphas.
      valid: histories whose targets rank candidates.
      student: the frame of the student.
      search: rates, epochs, weight of the cost.
      distillation: the terms of the loss.
      max_length: items the models see.
      seen: `exclude` or `keep`, for the validation metric.
      seed: equal seed, config and data find the equal genotype.
      checkpoint_dir: where an interrupted search continues from.
      trace_path: the trace is written here when the search ends, a JSON line an epoch.
      log_dir: where TensorBoard finds the numbers of the trace; None writes none.

    Returns:
      The genotype and how it came about.

    Raises:
      ValueError: a half of the training users has no history to train on, or a loss is not finite.
    """
    loop = _SearchLoop(
        teacher,
        split_halves(train),
        valid,
        _Settings(student, search, distillation, max_length, seen, seed),
    )
    trace = loop.run(checkpoint_dir, trace_path, log_dir)
    candidates = [(genotype, loop.validate(genotype)) for genotype in loop.candidates()]
    best = max(candidates, key=lambda candidate: candidate[1])[0]
    return SearchResult(best, loop.student(best), candidates, trace)


class _Settings(NamedTuple):
    student: StudentConfig
    search: SearchConfig
    distillation: DistillationConfig
    max_length: int
    seen: str
    seed: int


class _SearchLoop:
    """Owns the variables of one search, and when each of them moves."""

    def __init__(
        self,
        teacher: keras.Model | EnsembleTeacher,
        halves: tuple[Histories, Histories],
        valid: Histories,
        settings: _Settings,
    ) -> None:
        self._halves = halves
        self._settings = settings
        keras.utils.set_random_seed(settings.seed)
        self._state = self._initial_state(teacher)
        search = settings.search
        self._costs = measure_costs(settings.student.hidden_dim, settings.max_length)
        one_teacher = teacher.members[0] if isinstance(teacher, EnsembleTeacher) else teacher
        teacher_cost = measure_encoder(one_teacher, settings.max_length)
        prices = relative_costs(
            self._costs,
            teacher_cost,
            num_cells=settings.student.num_cells,
            latency_share=search.cost_latency_share,
        )
        self._weight_step = build_weight_step(self._state, search)
        self._alpha_step = build_alpha_step(self._state, search, tf.constant(prices))
        generator = np.random.default_rng(settings.seed)
        users = generator.permutation(valid.num_users)[: search.validation_users]
        self._valid = valid.take(np.sort(users))
        self._score = self._build_scorer()

    def _initial_state(self, teacher: keras.Model | EnsembleTeacher) -> SearchState:
        settings = self._settings
        num_edges = len(edge_ends(settings.student.num_nodes))
        supernet = Supernet(
            settings.student, teacher.sequence_embedding.num_items, settings.max_length
        )
        supernet(tf.zeros([1, 1], tf.int64), fixed_edges([0] * num_edges))
        if settings.distillation.initial_table == "teacher":
            initialise_table(supernet.sequence_embedding, teacher.sequence_embedding)
        objective = DistillationObjective(
            supernet.sequence_embedding, settings.student.num_cells, teacher, settings.distillation
        )
        alphas = keras.Variable(initial_alphas(num_edges, settings.seed), name="alphas")
        # Betas as in DARTS: the alphas' gradient is noisy and should not be remembered for long.
        alpha_optimizer = keras.optimizers.Adam(
            settings.search.alpha_learning_rate, beta_1=0.5, beta_2=0.999
        )
        alpha_optimizer.build([alphas])
        weights = [*supernet.trainable_variables, *objective.trainable_variables]
        weight_optimizer = build_optimizer(settings.search.training(), self._num_steps(), weights)
        return SearchState(supernet, objective, alphas, weight_optimizer, alpha_optimizer)

    def _num_steps(self) -> int:
        counts = [sum(1 for _ in self._batches(half, 0)) for half in self._halves]
        if min(counts) == 0:
            raise ValueError(
                "The search needs histories of at least two training items in both halves of the "
                f"users. Received: {counts[0]} and {counts[1]} batches; bring more users."
            )
        return counts[0]

    def _batches(self, half: Histories, epoch: int) -> Iterator[Batch]:
        return next_item_batches(
            half,
            max_length=self._settings.max_length,
            positions_per_batch=self._settings.search.positions_per_batch,
            seed=self._settings.seed,
            epoch=epoch,
        )

    def _build_scorer(self) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
        supernet = self._state.supernet
        signature = [tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None], tf.int32)]

        @tf.function(input_signature=signature)
        def score(item_ids: tf.Tensor, operations: tf.Tensor) -> tf.Tensor:
            sampled = SampledEdges(operations, tf.ones_like(operations, tf.float32))
            outputs = supernet(item_ids, sampled, training=False)
            return supernet.sequence_embedding.item_logits(outputs.final_states[:, -1])

        return score

    def validate(self, genotype: Genotype) -> float:
        """The validation metric of a genotype with the supernet's weights; nothing is sampled."""
        operations = tf.constant(operations_of(genotype), tf.int32)
        metrics = evaluate_full(
            lambda rows, item_ids: self._score(tf.constant(item_ids), operations).numpy(),
            self._valid,
            num_items=self._state.supernet.sequence_embedding.num_items,
            max_length=self._settings.max_length,
            seen=self._settings.seen,
            cutoffs=(10,),
        )
        return metrics[SELECTION_METRIC]

    def run(
        self, checkpoint_dir: str, trace_path: str, log_dir: str | None
    ) -> list[dict[str, Any]]:
        """Runs the epochs that are left; returns and writes the whole trace."""
        state = self._state
        checkpoint = EpochCheckpoint(
            checkpoint_dir,
            [
                *state.supernet.variables,
                *state.objective.variables,
                state.alphas,
                *state.weight_optimizer.variables,
                *state.alpha_optimizer.variables,
            ],
        )
        trace: list[dict[str, Any]] = (checkpoint.restore() or {"trace": []})["trace"]
        log = TrainingLog(log_dir, map(_scalars, trace))
        while not self._is_finished(trace):
            trace.append(self._run_epoch(len(trace)))
            checkpoint.save({"trace": trace})
            log.append(_scalars(trace[-1]))
            self._log_progress(trace[-1])
        with tf.io.gfile.GFile(trace_path, "w") as file:
            file.write("".join(json.dumps(record) + "\n" for record in trace))
        return trace

    def student(self, genotype: Genotype) -> Student:
        """The network of a genotype, with the supernet's weights."""
        settings, supernet = self._settings, self._state.supernet
        student = build_student(
            genotype,
            settings.student,
            supernet.sequence_embedding.num_items,
            settings.max_length,
            seed=settings.seed,
        )
        inherit_weights(student, supernet)
        return student

    def _is_finished(self, trace: list[dict[str, Any]]) -> bool:
        search = self._settings.search
        genotypes = [record["genotype"] for record in trace if record["alphas_moved"]]
        recent = genotypes[-(search.patience + 1) :]
        is_stable = len(recent) > search.patience and all(g == recent[0] for g in recent)
        return len(trace) >= search.max_epochs or is_stable

    def _run_epoch(self, epoch: int) -> dict[str, Any]:
        start = time.monotonic()
        alphas_move = epoch >= self._settings.search.warmup_epochs
        parts: list[dict[str, tf.Tensor]] = []
        num_positions = 0
        alpha_batches = self._alpha_batches(epoch)
        for step, batch in enumerate(self._batches(self._halves[0], epoch)):
            seeds = self._step_seeds(epoch, step)
            num_positions += np.count_nonzero(batch.labels != PAD)
            parts.append(
                self._weight_step(tf.constant(batch.item_ids), tf.constant(batch.labels), seeds[0])
            )
            if alphas_move:
                alpha_batch = next(alpha_batches)
                num_positions += np.count_nonzero(alpha_batch.labels != PAD)
                parts[-1] |= self._alpha_step(
                    tf.constant(alpha_batch.item_ids), tf.constant(alpha_batch.labels), seeds[1]
                )
        losses = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        not_finite = [name for name, value in losses.items() if not np.isfinite(value)]
        if not_finite:
            raise ValueError(
                f"Losses should stay finite. Received: {', '.join(not_finite)} not finite in epoch "
                f"{epoch + 1} of the search; lower its learning_rate or clip_norm."
            )
        train_seconds = time.monotonic() - start
        alphas = self._state.alphas.numpy()
        genotype = self._derive(alphas)
        return {
            "epoch": epoch + 1,
            "alphas_moved": alphas_move,
            **losses,
            SELECTION_METRIC: self.validate(genotype),
            "entropy": relative_entropy(alphas),
            "student_mass": self._state.objective.student_mass.numpy().tolist(),
            "teacher_mass": self._state.objective.teacher_mass.numpy().tolist(),
            "alphas": alphas.tolist(),
            "genotype": genotype.to_dict(),
            "costs": {name: cost._asdict() for name, cost in self._costs.items()},
            "learning_rate": float(self._state.weight_optimizer.learning_rate),
            "positions_per_second": num_positions / train_seconds,
            "train_s": train_seconds,
        }

    def _alpha_batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of the other half without end: halves of users are not equal in batches."""
        for repetition in itertools.count():
            yield from self._batches(self._halves[1], epoch + repetition * _EPOCH_STRIDE)

    def _step_seeds(self, epoch: int, step: int) -> tuple[tf.Tensor, tf.Tensor]:
        generator = np.random.default_rng([self._settings.seed, epoch, step])
        numbers = generator.integers(0, 2**31 - 1, (2, 2), dtype=np.int32)
        return tf.constant(numbers[0]), tf.constant(numbers[1])

    def _derive(self, alphas: np.ndarray) -> Genotype:
        student = self._settings.student
        genotype = derive_genotype(alphas, num_nodes=student.num_nodes, num_cells=student.num_cells)
        return genotype.without_dead_edges()

    def candidates(self) -> list[Genotype]:
        """The likeliest architecture and some drawn ones, none of them blind to order."""
        student = self._settings.student
        alphas = self._state.alphas.numpy()
        found = [self._derive(alphas)]
        generator = np.random.default_rng(self._settings.seed)
        for _ in range(_MAX_DRAWS):
            found.append(
                genotype_of(
                    draw_operations(alphas, generator),
                    num_nodes=student.num_nodes,
                    num_cells=student.num_cells,
                ).without_dead_edges()
            )
        distinct = [genotype for genotype in dict.fromkeys(found) if not genotype.is_degenerate]
        if not distinct:
            return [self._derive(self._without_blind_operations(alphas))]
        return distinct[: self._settings.search.num_candidates + 1]

    def _without_blind_operations(self, alphas: np.ndarray) -> np.ndarray:
        """Alphas whose first edge must look at more than one position."""
        repaired = alphas.copy()
        repaired[0, [OPERATIONS.index(name) for name in (NONE, SKIP)]] = -np.inf
        return repaired

    def _log_progress(self, record: dict[str, Any]) -> None:
        numbers = {name: value for name, value in record.items() if isinstance(value, float)}
        log_progress(
            logger,
            Progress("search", record["epoch"], self._settings.search.max_epochs),
            "stage=search epoch=%d %s",
            record["epoch"],
            " ".join(f"{name}={value:.6g}" for name, value in numbers.items()),
        )


def _scalars(record: dict[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's record, and the mass of each layer by a name of its own."""
    numbers = {name: value for name, value in record.items() if isinstance(value, float)}
    masses = {
        f"{name}/layer_{layer}": mass
        for name in ("student_mass", "teacher_mass")
        for layer, mass in enumerate(record[name], start=1)
    }
    return {**numbers, **masses}
