"""How good an architecture is with the supernet's weights: nothing is sampled, nothing trained."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from adarec_tf.data.histories.histories import Histories
from adarec_tf.evaluation.protocols import ScoreBatch, evaluate_full, model_scorer
from adarec_tf.models.students import Student
from adarec_tf.models.students.genotype import Genotype
from adarec_tf.search.space.alphas import OPERATIONS, MixedEdges, SampledEdges, edges_of
from adarec_tf.search.space.supernet import Supernet
from adarec_tf.training.fit import SELECTION_METRIC


class SupernetValidation:
    """Ranks genotypes by the validation targets of some users."""

    def __init__(
        self,
        supernet: Supernet,
        valid: Histories,
        *,
        max_users: int,
        max_length: int,
        seen: str,
        seed: int,
    ) -> None:
        """Draws the users.

        Args:
          supernet: whose weights count; they are read whenever a genotype is validated.
          valid: histories with a target.
          max_users: all of them where there are fewer.
          max_length: items the models see.
          seen: `exclude` or `keep`, for the validation metric.
          seed: of the draw.
        """
        users = np.random.default_rng(seed).permutation(valid.num_users)[:max_users]
        self._all_users = valid
        self._some_users = valid.take(np.sort(users))
        self._supernet = supernet
        self._max_length = max_length
        self._seen = seen
        genotypes = SampledEdges(
            tf.TensorSpec([None], tf.int32), tf.TensorSpec([None]), tf.TensorSpec([], tf.int32)
        )
        mixtures = MixedEdges(tf.TensorSpec([None, len(OPERATIONS)]))
        self._score_genotype = _build_scorer(supernet, genotypes)
        self._score_mixture = _build_scorer(supernet, mixtures)

    @property
    def leaves_users_out(self) -> bool:
        """Whether there are more users than were drawn."""
        return self._some_users.num_users < self._all_users.num_users

    def validate(self, genotype: Genotype) -> float:
        """The validation metric of a genotype on the users drawn."""
        return self._metric(self._scorer(self._edges(genotype)), self._some_users)

    def validate_on_all_users(self, genotype: Genotype) -> float:
        """The validation metric of a genotype on all users."""
        return self._metric(self._scorer(self._edges(genotype)), self._all_users)

    def validate_mixture(self, logits: np.ndarray) -> float:
        """The validation metric, on the users drawn, of all architectures mixed by softmax(logits).

        Args: logits: float32 [E, O].
        """
        edges = MixedEdges(tf.nn.softmax(logits))
        return self._metric(self._scorer(edges), self._some_users)

    def validate_student(self, student: Student) -> float:
        """The validation metric of a stand-alone student on the users drawn."""
        return self._metric(model_scorer(student), self._some_users)

    def _edges(self, genotype: Genotype) -> SampledEdges:
        return edges_of(genotype, num_cells=len(self._supernet.cells))

    def _scorer(self, edges: SampledEdges | MixedEdges) -> ScoreBatch:
        score = self._score_mixture if isinstance(edges, MixedEdges) else self._score_genotype
        return lambda rows, item_ids: score(tf.constant(item_ids), edges).numpy()

    def _metric(self, scorer: ScoreBatch, users: Histories) -> float:
        metrics = evaluate_full(
            scorer,
            users,
            num_items=self._supernet.sequence_embedding.num_items,
            max_length=self._max_length,
            seen=self._seen,
            cutoffs=(10,),
        )
        return metrics[SELECTION_METRIC]


def _build_scorer(
    supernet: Supernet, edges_signature: SampledEdges | MixedEdges
) -> Callable[[tf.Tensor, SampledEdges | MixedEdges], tf.Tensor]:
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int64), edges_signature])
    def score(item_ids: tf.Tensor, edges: SampledEdges | MixedEdges) -> tf.Tensor:
        outputs = supernet(item_ids, edges, training=False)
        return supernet.sequence_embedding.item_logits(outputs.final_states[:, -1])

    return score
