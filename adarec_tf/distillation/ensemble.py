"""Several teachers as one."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from adarec_tf.models.sequence_model import SequenceOutputs


class EnsembleEmbedding:
    """The item tables of several teachers side by side: their products with states add up.

    Attributes:
      num_items: of every teacher.
    """

    def __init__(self, teachers: Sequence[keras.Model]) -> None:
        """Args: built sequence models over the same items."""
        self._embeddings = [teacher.sequence_embedding for teacher in teachers]
        self.num_items = int(self._embeddings[0].num_items)

    def item_vectors(self) -> tf.Tensor:
        """float32 [num_items, sum of D]; row j is item j + 1."""
        return tf.concat([e.item_vectors() for e in self._embeddings], axis=1)

    def item_logits(self, states: tf.Tensor) -> tf.Tensor:
        """Scores of final states [N, sum of D]: float32 [N, num_items]."""
        return tf.matmul(states, self.item_vectors(), transpose_b=True)


class EnsembleTeacher:
    """A sequence model whose logits are the mean of its members', and whose layers are all theirs.

    The members' hidden states must be of one width, so that a student's layer can learn from any.

    Attributes:
      members: the teachers.
    """

    def __init__(self, teachers: Sequence[keras.Model]) -> None:
        """Args: one or more built sequence models over the same items.

        Raises:
          ValueError: there are none, or their catalogs or widths differ.
        """
        sizes = [
            (teacher.sequence_embedding.num_items, teacher.sequence_embedding.hidden_dim)
            for teacher in teachers
        ]
        if len(set(sizes)) != 1:
            raise ValueError(
                "Teachers of an ensemble should know the same items and have the same width. "
                f"Received: (items, width) of {sizes}."
            )
        self.members = list(teachers)
        self.sequence_embedding = EnsembleEmbedding(teachers)

    def __call__(self, item_ids: tf.Tensor, training: bool = False) -> SequenceOutputs:
        """Maps int [B, L] ids to the outputs of all members; see `SequenceOutputs`.

        Args:
          item_ids: left-padded with 0.
          training: whether dropout is on.
        """
        outputs = [teacher(item_ids, training=training) for teacher in self.members]
        return SequenceOutputs(
            tf.concat([output.embedding for output in outputs], axis=-1),
            tuple(states for output in outputs for states in output.hidden_states),
            tf.concat([output.final_states for output in outputs], axis=-1) / len(outputs),
        )


def as_one_teacher(
    teacher: "keras.Model | EnsembleTeacher | Sequence[keras.Model]",
) -> "keras.Model | EnsembleTeacher":
    """A teacher as it is, several as an ensemble."""
    return EnsembleTeacher(teacher) if isinstance(teacher, list | tuple) else teacher
