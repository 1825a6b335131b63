"""How good an architecture is with the supernet's weights: nothing is sampled, nothing trained."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from adarec_tf.data.examples import Histories
from adarec_tf.metrics.protocols import evaluate_full
from adarec_tf.search.alphas import SampledEdges, operations_of
from adarec_tf.search.supernet import Supernet
from adarec_tf.students.genotype import Genotype
from adarec_tf.training_loop import SELECTION_METRIC


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
        self._valid = valid.take(np.sort(users))
        self._supernet = supernet
        self._max_length = max_length
        self._seen = seen
        self._score = _build_scorer(supernet)

    def validate(self, genotype: Genotype) -> float:
        """The validation metric of a genotype."""
        operations = tf.constant(operations_of(genotype), tf.int32)
        metrics = evaluate_full(
            lambda rows, item_ids: self._score(tf.constant(item_ids), operations).numpy(),
            self._valid,
            num_items=self._supernet.sequence_embedding.num_items,
            max_length=self._max_length,
            seen=self._seen,
            cutoffs=(10,),
        )
        return metrics[SELECTION_METRIC]


def _build_scorer(supernet: Supernet) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    signature = [tf.TensorSpec([None, None], tf.int64), tf.TensorSpec([None], tf.int32)]

    @tf.function(input_signature=signature)
    def score(item_ids: tf.Tensor, operations: tf.Tensor) -> tf.Tensor:
        sampled = SampledEdges(operations, tf.ones_like(operations, tf.float32))
        outputs = supernet(item_ids, sampled, training=False)
        return supernet.sequence_embedding.item_logits(outputs.final_states[:, -1])

    return score
