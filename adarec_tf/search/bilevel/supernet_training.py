"""Training of the supernet: its state, its batches, and the alternating steps of an epoch."""

import itertools
import os
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from adarec_tf.config.distillation import DistillationConfig
from adarec_tf.config.search import SearchConfig
from adarec_tf.config.student import StudentConfig
from adarec_tf.data.batches import Batch, next_item_batches
from adarec_tf.data.histories.histories import Histories
from adarec_tf.data.histories.vocabulary import PAD
from adarec_tf.distillation.ensemble import EnsembleTeacher
from adarec_tf.distillation.initial_table import initialize_table
from adarec_tf.distillation.objective import DistillationObjective
from adarec_tf.distillation.teacher_cache import OnlineTeacher, TeacherCache, read_teacher
from adarec_tf.models.students.genotype import edge_ends
from adarec_tf.search.bilevel.architect import build_alpha_step, build_weight_step
from adarec_tf.search.bilevel.state import SearchBatch, SearchState
from adarec_tf.search.cost.budget import Budget
from adarec_tf.search.cost.cost import Prices
from adarec_tf.search.space.alphas import alphas_scale, fixed_edges, initial_alphas
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.training.fit import build_optimizer

# Between repetitions of the alphas' half within an epoch: further than any search has epochs.
_EPOCH_STRIDE = 10_000


class SearchSettings(NamedTuple):
    """What a search is told besides its data; the fields are the arguments of `search_genotype`.

    Attributes:
      strategy: whose replicas share every batch; by default there is one.
    """

    student: StudentConfig
    search: SearchConfig
    distillation: DistillationConfig
    max_length: int
    seen: str
    seed: int
    strategy: tf.distribute.Strategy = tf.distribute.get_strategy()


class SupernetTraining:
    """Owns the variables of one search, and when each of them moves.

    Attributes:
      state: the variables.
    """

    def __init__(
        self,
        teacher: keras.Model | EnsembleTeacher,
        halves: tuple[Histories, Histories],
        prices: Prices,
        budgets: Sequence[Budget],
        settings: SearchSettings,
        cache_dir: str,
    ) -> None:
        """Builds variables and steps.

        Args:
          teacher: guides the search.
          halves: of the training users, for the weights and for the alphas.
          prices: of operations and cells, in units of the teacher's encoder.
          budgets: of the student.
          settings: of the search.
          cache_dir: where the teacher's outputs are kept for the search.

        Raises:
          ValueError: a half has no history to train on.
        """
        self._halves = halves
        self._settings = settings
        with settings.strategy.scope():
            self.state = self._initial_state(teacher)
        self._weight_step = build_weight_step(self.state, settings.search)
        self._alpha_step = build_alpha_step(self.state, settings.search, prices, budgets)
        self._readers = _teacher_readers(teacher, halves, settings, cache_dir)

    def _initial_state(self, teacher: keras.Model | EnsembleTeacher) -> SearchState:
        settings = self._settings
        num_edges = len(edge_ends(settings.student.num_nodes))
        num_alpha_cells = 1 if settings.search.alphas == "shared" else settings.student.num_cells
        num_optional = settings.search.num_optional_cells(settings.student.num_cells)
        supernet = Supernet(
            settings.student,
            teacher.sequence_embedding.num_items,
            settings.max_length,
            num_optional=num_optional,
        )
        supernet(tf.zeros([1, 1], tf.int64), fixed_edges([0] * num_edges))
        if settings.distillation.initial_table == "teacher":
            initialize_table(supernet.sequence_embedding, teacher.sequence_embedding)
        objective = DistillationObjective(
            supernet.sequence_embedding, settings.student.num_cells, teacher, settings.distillation
        )
        alphas = keras.Variable(
            initial_alphas(num_alpha_cells * num_edges, settings.seed), name="alphas"
        )
        depth_alphas = keras.Variable(np.zeros(1 + num_optional, np.float32), name="depth_alphas")
        scale = tf.Variable(1.0, trainable=False)
        # Betas as in DARTS: the alphas' gradient is noisy and should not be remembered for long.
        alpha_optimizer = keras.optimizers.Adam(
            settings.search.alpha_learning_rate, beta_1=0.5, beta_2=0.999
        )
        alpha_optimizer.build([alphas, depth_alphas])
        weights = [*supernet.trainable_variables, *objective.trainable_variables]
        weight_optimizer = self._weight_optimizer(weights)
        return SearchState(
            *(supernet, objective, alphas, depth_alphas, scale, weight_optimizer, alpha_optimizer)
        )

    def _weight_optimizer(self, weights: list[keras.Variable]) -> keras.optimizers.Optimizer:
        """Whose rate falls over all steps of the weights."""
        search = self._settings.search
        num_steps = self._num_steps_of_epoch() * search.max_epochs
        if search.method != "bilevel":
            num_steps += self._num_steps_of_epoch() * (search.max_epochs - search.warmup_epochs)
        training = search.training().replace(max_epochs=1)
        return build_optimizer(training, num_steps, weights)

    def _num_steps_of_epoch(self) -> int:
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

    def alphas_move(self, epoch: int) -> bool:
        """Whether they do in this epoch, counted from 0: after the warm-up, and if there is use."""
        search = self._settings.search
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
        self.state.alphas_scale.assign(alphas_scale(self._settings.search, epoch))
        is_warm = epoch >= self._settings.search.warmup_epochs
        parts: list[dict[str, tf.Tensor]] = []
        num_positions = num_steps = 0
        alpha_batches = self._alpha_batches(epoch)
        for step, batch in enumerate(self._batches(self._halves[0], epoch)):
            seeds = self._step_seeds(epoch, step)
            num_positions += np.count_nonzero(batch.labels != PAD)
            num_steps += 1 + is_warm
            weight_batch = self._search_batch(0, batch, seeds[0])
            parts.append(self._weight_step(weight_batch))
            if is_warm:
                other = next(alpha_batches)
                num_positions += np.count_nonzero(other.labels != PAD)
                other_batch = self._search_batch(1, other, seeds[1])
                if self.alphas_move(epoch):
                    parts[-1] |= self._alpha_step(other_batch, weight_batch)
                else:
                    parts.append(self._weight_step(other_batch))
        losses = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        not_finite = [name for name, value in losses.items() if not np.isfinite(value)]
        if not_finite:
            raise ValueError(
                f"Losses should stay finite. Received: {', '.join(not_finite)} not finite in epoch "
                f"{epoch + 1} of the search; lower its learning_rate or clip_norm."
            )
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
            yield from self._batches(self._halves[1], epoch + repetition * _EPOCH_STRIDE)

    def _search_batch(self, half: int, batch: Batch, seed: tf.Tensor) -> SearchBatch:
        teacher = self._readers[half].states(batch)
        item_ids, labels = tf.constant(batch.item_ids), tf.constant(batch.labels)
        return SearchBatch(item_ids, labels, teacher, seed, tf.constant(1.0))

    def _step_seeds(self, epoch: int, step: int) -> tuple[tf.Tensor, tf.Tensor]:
        generator = np.random.default_rng([self._settings.seed, epoch, step])
        numbers = generator.integers(0, 2**31 - 1, (2, 2), dtype=np.int32)
        return tf.constant(numbers[0]), tf.constant(numbers[1])


def _teacher_readers(
    teacher: keras.Model | EnsembleTeacher,
    halves: tuple[Histories, Histories],
    settings: SearchSettings,
    cache_dir: str,
) -> list[TeacherCache | OnlineTeacher]:
    """One for each half; their caches together keep to the bound."""
    readers: list[TeacherCache | OnlineTeacher] = []
    for name, half in zip(("weights", "alphas"), halves, strict=True):
        kept = sum(reader.num_bytes for reader in readers)
        readers.append(
            read_teacher(
                teacher,
                half,
                max_length=settings.max_length,
                directory=os.path.join(cache_dir, name),
                max_bytes=settings.distillation.max_cache_bytes - kept,
                num_top_items=settings.distillation.num_kept_items,
            )
        )
    return readers
