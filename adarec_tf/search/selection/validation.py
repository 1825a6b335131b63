"""How good an architecture is with the supernet's weights: nothing is sampled, nothing trained."""

import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.protocols import ScoreBatch, evaluate_full, model_scorer
from adarec_tf.models.students import Student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.space.alphas import SampledArchitecture, architecture_of
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.search.task import SearchTask
from adarec_tf.training.fit import SELECTION_METRIC

# Users that rank candidates; all of them where there are fewer.
NUM_USERS = 4096
# Scores of a validation, of which there are dozens: 2,000 users where there are a million items.
_MOST_SCORES = 2 * 10**9


def count_scores(num_users: int, num_items: int) -> int:
    """How many scores one validation of a candidate takes.

    Args:
      num_users: who have a validation target.
      num_items: of the catalog.
    """
    return min(num_users, NUM_USERS, max(1, _MOST_SCORES // num_items)) * num_items


class SupernetValidation:
    """Ranks genotypes by the validation targets of some users, or of all."""

    def __init__(self, supernet: Supernet, task: SearchTask) -> None:
        """Draws the users.

        Args:
          supernet: whose weights count; they are read whenever a genotype is validated.
          task: the users, and the seed of the draw.
        """
        users = np.random.default_rng(task.seed).permutation(task.valid.num_users)
        users = users[: max(1, _MOST_SCORES // supernet.sequence_embedding.num_items)]
        self._all_users = task.valid.take(np.sort(users))
        self._some_users = task.valid.take(np.sort(users[:NUM_USERS]))
        self._supernet = supernet
        self._seen = task.seen

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.int64),
                SampledArchitecture(tf.TensorSpec([None], tf.int32), tf.TensorSpec([], tf.int32)),
                tf.TensorSpec([], tf.int32),
                tf.TensorSpec([None, None]),
            ],
            autograph=False,
        )
        def score(
            item_ids: tf.Tensor,
            architecture: SampledArchitecture,
            receptive_field: tf.Tensor,
            items: tf.Tensor,
        ) -> tf.Tensor:
            states = supernet.last_states(item_ids, architecture, receptive_field)
            return tf.matmul(states, items, transpose_b=True)

        self._score = score
        self._item_vectors = tf.function(supernet.sequence_embedding.item_vectors)

    @property
    def leaves_users_out(self) -> bool:
        """Whether there are more users than were drawn."""
        return self._some_users.num_users < self._all_users.num_users

    def validate(self, genotype: Genotype) -> float:
        """The validation metric of a genotype on the users drawn."""
        return self._metric(self._scorer(genotype), self._some_users)

    def validate_on_all_users(self, genotype: Genotype) -> float:
        """The validation metric of a genotype on all users, as far as the catalog allows."""
        return self._metric(self._scorer(genotype), self._all_users)

    def validate_student(self, student: Student) -> float:
        """The validation metric of a stand-alone student on the users drawn."""
        return self._metric(model_scorer(student), self._some_users)

    def _scorer(self, genotype: Genotype) -> ScoreBatch:
        architecture = architecture_of(genotype, num_cells=len(self._supernet.cells))
        receptive_field = tf.constant(genotype.receptive_field)
        # Once: to round them for each batch of users took a fifth of the time.
        items = self._item_vectors()
        return lambda rows, item_ids: self._score(
            tf.constant(item_ids), architecture, receptive_field, items
        )

    def _metric(self, scorer: ScoreBatch, users: Histories) -> float:
        embedding = self._supernet.sequence_embedding
        metrics = evaluate_full(
            scorer,
            users,
            num_items=embedding.num_items,
            max_length=embedding.max_length,
            seen=self._seen,
            cutoffs=(10,),
        )
        return metrics[SELECTION_METRIC]
