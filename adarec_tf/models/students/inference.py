"""The student as it is served: the state of the last item alone, of histories or of sessions.

Only the cone of the last position is computed: each node at the positions that a later one reads.
A session keeps what the next item will read of them, so an item more is one position's work.
"""

import functools
import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.special
import tensorflow as tf

from adarec_tf.models.students.genotype import needed_by_cells, node_reaches
from adarec_tf.models.students.incremental import Span, constant, first, from_bytes, norm_now
from adarec_tf.models.students.student import Cell, Student


class IncrementalStep(NamedTuple):
    """What one more item makes of sessions.

    Attributes:
      last_states: float32 [B, D], final states of the last items; zero in an empty session.
      sessions: float32 [B, S], what the next step starts from.
    """

    last_states: tf.Tensor
    sessions: tf.Tensor


class ServedStudent:
    """A `LastStateEncoder` of a student, with the weights it has when this is made.

    Args:
      student: the student.
      max_length: items of a history that it sees.

    Attributes:
      receptive_field: how many of the last items matter, or all it sees if those are fewer.
      max_items: items that a session may have. From there on the oldest would drop out of view and
        change every place, so that nothing of a session could be kept.
      session_size: S, numbers of a session.
    """

    def __init__(self, student: Student, max_length: int) -> None:
        self._embedding = student.sequence_embedding
        self._cells = [_ServedCell(cell, self._embedding.hidden_dim) for cell in student.cells]
        states = tf.TensorSpec([None, self._embedding.hidden_dim])
        self._final_norm = tf.function(norm_now(student.final_norm), [states])
        self._needed = needed_by_cells(student.genotype.cells)
        self.receptive_field = min(student.genotype.receptive_field, max_length)
        self.max_items = max_length
        table = constant(self._embedding.position_table)
        table = table[np.minimum(np.arange(max_length), len(table) - 1)]
        in_bytes = self._embedding.has_rounded_places
        place_rows = from_bytes(table, -1) if in_bytes else lambda: tf.constant(table)
        self._place_states = tf.function(
            # Padding's are below 0 and get any row.
            lambda places: tf.gather(place_rows(), tf.maximum(places, 0)),
            [tf.TensorSpec([None, None], tf.int64)],
        )
        self._reaches = [node_reaches(cell) for cell in student.genotype.cells]
        # By cell and node, for those that are read later: how many of its states a session keeps.
        self._buffers = {
            (cell, node): reach
            for cell, reaches in enumerate(self._reaches)
            for node, reach in enumerate(reaches)
            if reach
        }
        num_states = 1 + sum(self._buffers.values())
        self.session_size = 1 + self._embedding.hidden_dim * num_states

    def last_states(self, latest_ids: tf.Tensor, num_items: tf.Tensor) -> tf.Tensor:
        """Encodes the last items of histories.

        Args:
          latest_ids: int64 [B, receptive_field], the latest item first, then older ones, then PAD.
          num_items: int64 [B, 1], items of the history that the model sees, older ones included.

        Returns:
          float32 [B, D], final states of the last position; of no meaning where there is no item.
        """
        mask = tf.cast(latest_ids > 0, tf.float32)[..., tf.newaxis]
        places = num_items - np.arange(1, 1 + self.receptive_field)
        states = self._embedded(latest_ids, places) * mask
        outputs = [needed[0] for needed in self._needed[1:]] + [1]
        nums = {num for needed in self._needed for num in needed} | {1}
        spans = {num: Span.of(mask, num) for num in sorted(nums)}
        for cell, needed, num in zip(self._cells, self._needed, outputs, strict=True):
            cell_spans = [spans[num] for num in needed]
            states = cell.latest(states, cell_spans, cell_spans, spans[num])
        return self._final_norm(states[:, 0])

    def step(self, item_ids: tf.Tensor, sessions: tf.Tensor) -> IncrementalStep:
        """Adds one item to each session; PAD leaves its session as it is.

        Args:
          item_ids: int [B].
          sessions: float32 [B, S]; zeros are an empty session.
        """
        num_before, last_states, buffers = self._unpack(sessions)
        places = tf.minimum(tf.cast(num_before, tf.int64), self.max_items - 1)
        states = self._embedded(item_ids[:, tf.newaxis], places)
        longest = 1 + max(self._buffers.values(), default=0)
        steps_back = tf.range(longest, dtype=tf.float32)
        mask = tf.cast(steps_back <= num_before, tf.float32)[..., tf.newaxis]
        kept = dict(buffers)
        one = Span.of(mask, 1)
        for index, (cell, reaches) in enumerate(zip(self._cells, self._reaches, strict=True)):

            def remember(node: int, states: tf.Tensor, index: int = index) -> tf.Tensor:
                if (index, node) not in buffers:
                    return states
                states = tf.concat([states, buffers[index, node]], axis=1)
                kept[index, node] = states[:, :-1]
                return states

            sources = [Span.of(mask, 1 + reach) for reach in reaches]
            targets = [one] * len(reaches)
            states = cell.latest(states, sources, targets, one, remember)
        now = self._final_norm(states[:, 0])
        flat = [tf.reshape(part, [-1, part.shape[1] * part.shape[2]]) for part in kept.values()]
        is_item = (item_ids > 0)[:, tf.newaxis]
        return IncrementalStep(
            tf.where(is_item, now, last_states),
            tf.where(is_item, tf.concat([num_before + 1, now, *flat], axis=1), sessions),
        )

    def _unpack(
        self, sessions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, dict[tuple[int, int], tf.Tensor]]:
        """Item counts [B, 1], last states [B, D], by (cell, node) earlier states [B, reach, D]."""
        dim = self._embedding.hidden_dim
        sizes = [1, dim, *(dim * reach for reach in self._buffers.values())]
        count, last_states, *flat = tf.split(sessions, sizes, axis=1)
        reaches = self._buffers.items()
        return (
            count,
            last_states,
            {
                place: tf.reshape(part, [-1, reach, dim])
                for (place, reach), part in zip(reaches, flat, strict=True)
            },
        )

    def _embedded(self, item_ids: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """Items [B, n] at places [B, n] of their histories: [B, n, D]."""
        states = self._embedding.item_rows(item_ids) + self._place_states(places)
        return states * self._embedding.hidden_dim**0.5


class _ServedCell:
    """A cell that computes the latest positions alone."""

    def __init__(self, cell: Cell, hidden_dim: int) -> None:
        self._num_nodes = cell.num_nodes
        self._edges = [
            (edge, operation.served())
            for edge, operation in zip(cell.edges, cell.operations, strict=True)
        ]
        self._shares = scipy.special.softmax(constant(cell.combine.node_logits))
        normalized = norm_now(cell.combine.norm)

        def activated(mixed: tf.Tensor) -> tf.Tensor:
            return tf.nn.relu(normalized(mixed))

        self._activate = tf.function(activated, [tf.TensorSpec([None, None, hidden_dim])])

    def latest(
        self,
        states: tf.Tensor,
        sources: list[Span],
        targets: list[Span],
        output: Span,
        remember: Callable[[int, tf.Tensor], tf.Tensor] = lambda node, states: states,
    ) -> tf.Tensor:
        """Computes the cell.

        Args:
          states: [B, M, D], the cell's input over the first of `targets`.
          sources: for each node, the input first, the positions that other nodes read.
          targets: for each node the positions to compute.
          output: the positions wanted.
          remember: makes of a node's states [B, n, D] over its target those over its source.

        Returns:
          [B, n, D].
        """
        nodes = [remember(0, states)]
        for target in range(1, self._num_nodes + 1):
            terms = [
                operation(nodes[edge.source], sources[edge.source], targets[target])
                for edge, operation in self._edges
                if edge.target == target
            ]
            zeros = tf.zeros_like(first(states, targets[target].num))
            node = targets[target].masked(functools.reduce(operator.add, terms)) if terms else zeros
            nodes.append(remember(target, node))
        states, *nodes = [first(node, output.num) for node in nodes]
        mixed = functools.reduce(operator.add, map(operator.mul, self._shares, nodes))
        return states + output.masked(self._activate(mixed))
