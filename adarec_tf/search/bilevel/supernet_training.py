"""Training of the supernet: its state, its batches, and the alternating steps of an epoch."""

import itertools
import os
import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.data.batches import Batch, EpochBatches, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.distillation.initial_table import initialize_table
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation.teacher_cache import OnlineTeacher, TeacherCache, read_teacher
from adarec_tf.models.optimizer import build_optimizer
from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.search.bilevel.architect import build_alpha_step, build_weight_step
from adarec_tf.search.bilevel.state import SearchBatch, SearchState
from adarec_tf.search.cost.cost import relative_costs
from adarec_tf.search.space.alphas import fixed_architecture, initial_alphas
from adarec_tf.search.space.search_space import SearchSpace
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.task import SearchTask

# The released code's 2e-5 leaves the alphas where they began.
ALPHA_LEARNING_RATE = 3e-2
# Among which the best items of the teacher are looked for, of each half: a minute or two.
_MOST_SCORES = 12 * 10**9
# Between repetitions of the alphas' half within an epoch: further than any search has epochs.
_EPOCH_STRIDE = 10_000


class SupernetTraining:
    """Owns the variables of one search, and when each of them moves.

    Attributes:
      state: the variables.
    """

    def __init__(self, task: SearchTask, space: SearchSpace) -> None:
        """Builds variables and steps.

        Args:
          task: teacher, users and settings.
          space: the students of one width.

        Raises:
          ValueError: a half has no history to train on.
        """
        self._task = task
        self._max_length = space.costs.shape.max_length
        with task.strategy.scope():
            self.state = self._initial_state(space)
        self._weight_step = build_weight_step(self.state)
        self._alpha_step = build_alpha_step(
            self.state,
            relative_costs(space.costs, num_alike=space.num_alike),
            space.budgets,
            cost_weight=task.search.cost_weight,
        )
        self._readers = teacher_readers(task, self._max_length)

    def _initial_state(self, space: SearchSpace) -> SearchState:
        teacher, student = self._task.teacher, space.student
        supernet = Supernet(
            student,
            teacher.sequence_embedding.num_items,
            self._max_length,
            num_optional=space.num_optional,
        )
        supernet(
            tf.zeros([1, 1], tf.int64), fixed_architecture([0] * len(edge_ends(student.num_nodes)))
        )
        if self._task.distillation.initial_table == "teacher":
            initialize_table(supernet.sequence_embedding, teacher.sequence_embedding)
        objective = DistillationObjective(
            supernet.sequence_embedding,
            student.num_cells,
            teacher,
            self._task.distillation,
            self._task.compute_dtype,
        )
        alphas = keras.Variable(initial_alphas(space.num_rows, self._task.seed), name="alphas")
        depth_alphas = keras.Variable(
            np.zeros(1 + space.num_optional, np.float32), name="depth_alphas"
        )
        # Betas as in DARTS: the alphas' gradient is noisy and should not be remembered for long.
        alpha_optimizer = keras.optimizers.Adam(ALPHA_LEARNING_RATE, beta_1=0.5, beta_2=0.999)
        alpha_optimizer.build([alphas, depth_alphas])
        weights = [*supernet.trainable_variables, *objective.trainable_variables]
        return SearchState(
            supernet,
            objective,
            alphas,
            depth_alphas,
            self._weight_optimizer(weights),
            alpha_optimizer,
        )

    def _weight_optimizer(self, weights: list[keras.Variable]) -> keras.optimizers.Optimizer:
        """Whose rate falls over all steps of the weights."""
        search = self._task.search
        num_epochs = search.max_epochs
        if search.method != "bilevel":  # after the warm-up, a second step on the alphas' half
            num_epochs += search.max_epochs - search.warmup_epochs
        return build_optimizer(
            weights,
            learning_rate=search.learning_rate,
            num_steps=num_epochs * self._num_steps_of_epoch(),
        )

    def _num_steps_of_epoch(self) -> int:
        counts = [len(self._batches(half, 0)) for half in self._task.halves]
        if min(counts) == 0:
            raise ValueError(
                "The search needs histories of at least two training items in both halves of the "
                f"users. Received: {counts[0]} and {counts[1]} batches; bring more users."
            )
        return counts[0]

    def _batches(self, half: Histories, epoch: int) -> EpochBatches:
        return next_item_batches(
            half,
            max_length=self._max_length,
            positions_per_batch=self._task.search.positions_per_batch,
            seed=self._task.seed,
            epoch=epoch,
        )

    def alphas_move(self, epoch: int) -> bool:
        """Whether they do in this epoch, counted from 0: after the warm-up, and if there is use."""
        search = self._task.search
        return search.method == "bilevel" and epoch >= search.warmup_epochs

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Trains for one epoch of the weights' half.

        After the warm-up each step of the weights is followed by one on the alphas' half: of the
        alphas, or of the weights again if the method does not move alphas. So all methods take as
        many steps on the same batches.

        Args:
          epoch: which, from 0; what is drawn and in which order depends on it and the seed alone.

        Returns:
          The mean parts of the loss, steps, labeled positions a second, seconds of training.

        Raises:
          ValueError: a loss is not finite.
        """
        start = time.monotonic()
        is_warm = epoch >= self._task.search.warmup_epochs
        parts: list[dict[str, tf.Tensor]] = []
        num_positions = num_steps = 0
        alpha_batches = self._alpha_batches(epoch)
        for step, batch in enumerate(self._batches(self._task.halves[0], epoch)):
            seeds = self._step_seeds(epoch, step)
            num_positions += np.count_nonzero(batch.labels != PAD)
            num_steps += 1 + is_warm
            parts.append(self._weight_step(self._search_batch(0, batch, seeds[0])))
            if is_warm:
                other = next(alpha_batches)
                num_positions += np.count_nonzero(other.labels != PAD)
                other_batch = self._search_batch(1, other, seeds[1])
                if self.alphas_move(epoch):
                    parts[-1] |= self._alpha_step(other_batch)
                else:
                    parts.append(self._weight_step(other_batch))
        losses = _mean_losses(parts, epoch)
        train_seconds = time.monotonic() - start
        return {
            **losses,
            "num_steps": num_steps,
            "positions_per_second": num_positions / train_seconds,
            "train_s": train_seconds,
        }

    def _alpha_batches(self, epoch: int) -> Iterator[Batch]:
        """Batches of the other half without end: halves of users are not equal in batches."""
        for repetition in itertools.count():
            yield from self._batches(self._task.halves[1], epoch + repetition * _EPOCH_STRIDE)

    def _search_batch(self, half: int, batch: Batch, seed: tf.Tensor) -> SearchBatch:
        teacher = self._readers[half].states(batch)
        item_ids, labels = tf.constant(batch.item_ids), tf.constant(batch.labels)
        return SearchBatch(item_ids, labels, teacher, seed, tf.constant(1.0))

    def _step_seeds(self, epoch: int, step: int) -> tuple[tf.Tensor, tf.Tensor]:
        generator = np.random.default_rng([self._task.seed, epoch, step])
        numbers = generator.integers(0, 2**31 - 1, (2, 2), dtype=np.int32)
        return tf.constant(numbers[0]), tf.constant(numbers[1])


def _mean_losses(parts: list[dict[str, tf.Tensor]], epoch: int) -> dict[str, float]:
    losses = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
    not_finite = [name for name, value in losses.items() if not np.isfinite(value)]
    if not_finite:
        raise ValueError(
            f"Losses should stay finite. Received: {', '.join(not_finite)} not finite in epoch "
            f"{epoch + 1} of the search; lower `search.learning_rate`."
        )
    return losses


def teacher_readers(task: SearchTask, max_length: int) -> list[TeacherCache | OnlineTeacher]:
    """What the teacher says at the positions of each half; the caches together keep to the bound.

    Args:
      task: teacher, halves, and the bound.
      max_length: items of a history.
    """
    readers: list[TeacherCache | OnlineTeacher] = []
    for name, half in zip(("weights", "alphas"), task.halves, strict=True):
        kept = sum(reader.num_bytes for reader in readers)
        readers.append(
            read_teacher(
                task.teacher,
                half,
                max_length=max_length,
                directory=os.path.join(task.cache_dir, name),
                max_bytes=task.max_cache_bytes - kept,
                num_top_items=task.distillation.num_kept_items,
                has_layers=task.distillation.reads_layers,
                max_scores=_MOST_SCORES,
            )
        )
    return readers
