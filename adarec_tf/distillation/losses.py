"""The terms of the distillation loss: pure functions, each a mean over real positions."""

from typing import NamedTuple

import tensorflow as tf

_SMALLEST_PROBABILITY = 1e-37  # that float32 holds; its logarithm is -85


class DistillationLosses(NamedTuple):
    """The parts of the distillation loss, unweighted.

    Attributes:
      embedding: scalar float32, mean squared difference of the embeddings.
      hidden: scalar float32, cost of moving the student's layers onto the teacher's.
      logits: scalar float32, KL(teacher || student) over the catalog, in nats.
    """

    embedding: tf.Tensor
    hidden: tf.Tensor
    logits: tf.Tensor


class Scores(NamedTuple):
    """What scores of the catalog are made of.

    Attributes:
      states: float32 [N, D], final states at labeled positions.
      items: float32 [V, D], item vectors; row j is item j + 1.
    """

    states: tf.Tensor
    items: tf.Tensor


class LogitsLosses(NamedTuple):
    """What the student's scores of the catalog are compared with.

    Attributes:
      task: scalar float32, cross-entropy with the label, in nats.
      divergence: scalar float32, KL(teacher || student) times the squared temperature, in nats.
    """

    task: tf.Tensor
    divergence: tf.Tensor


def embedding_loss(student_embedding: tf.Tensor, teacher_embedding: tf.Tensor) -> tf.Tensor:
    """Mean squared difference.

    Args:
      student_embedding: float32 [N, D], projected to the teacher's width, at real positions.
      teacher_embedding: float32 [N, D].

    Returns:
      Scalar float32.
    """
    return tf.reduce_mean(tf.math.squared_difference(student_embedding, teacher_embedding))


def logits_losses(
    student: Scores,
    labels: tf.Tensor,
    teacher: Scores,
    *,
    kd_temperature: float = 1.0,
    compute_dtype: str = "float32",
) -> LogitsLosses:
    """Task and logits loss of the student, over the whole catalog.

    The gradient of the logits is a difference of probabilities. It is never formed: each side's
    probabilities meet items and states in products of their own, and the divergence follows from
    the same products, without a logarithm of [N, V]. Of 128 positions and 12,101 items at D = 16,
    a quarter of the time of differentiated log-softmaxes.

    Args:
      student: final states and item vectors; gradients flow to both.
      labels: int64 [N], item ids in 1..V.
      teacher: final states and item vectors, constants.
      kd_temperature: both sides' logits are divided by it; the divergence is multiplied by its
        square, so that the gradient keeps its size (Hinton et al., arXiv:1503.02531).
      compute_dtype: of logits and probabilities; sums are float32, but the divergence, a difference
        of large numbers, is only as exact as this.

    Returns:
      Both losses, means over positions (the released code divides by the batch size alone, so its
      term grows with the length of the histories). They saturate where a label's probability is
      too small for float32.
    """
    teacher = Scores(*map(tf.stop_gradient, teacher))

    @tf.custom_gradient
    def losses_of(states: tf.Tensor, items: tf.Tensor):  # type: ignore[no-untyped-def]
        catalog = _Catalog(states, items, labels, compute_dtype)
        plain = catalog.distribution(1.0)
        softened = plain if kd_temperature == 1.0 else catalog.distribution(kd_temperature)
        target = _Catalog(*teacher, labels, compute_dtype).distribution(kd_temperature)
        expected_by_teacher = target.expected(items)
        cross_entropy = -softened.log_likelihood(expected_by_teacher)
        divergence = (cross_entropy - target.entropy()) * kd_temperature**2

        def gradient(*upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            num_positions = tf.cast(tf.shape(states)[0], tf.float32)
            of_task, of_divergence = (value / num_positions for value in upstream)
            # The derivative of KL T^2: T^2 / T.
            of_divergence *= kd_temperature
            to_states = of_task * (plain.expected(items) - catalog.label_items)
            to_states += of_divergence * (softened.expected(items) - expected_by_teacher)
            to_items = of_task * plain.expected_states(states)
            to_items += of_divergence * (
                softened.expected_states(states) - target.expected_states(states)
            )
            to_items = tf.tensor_scatter_nd_sub(
                to_items, (labels - 1)[:, tf.newaxis], of_task * states
            )
            return to_states, to_items

        return (-tf.reduce_mean(plain.label_log), tf.reduce_mean(divergence)), gradient

    return LogitsLosses(*losses_of(*student))


class _Catalog:
    """The logits of some states over all items."""

    def __init__(
        self, states: tf.Tensor, items: tf.Tensor, labels: tf.Tensor, compute_dtype: str
    ) -> None:
        self.states, self.labels, self.dtype = states, labels, compute_dtype
        self.label_items = tf.gather(items, labels - 1)
        low_states, low_items = tf.cast(states, compute_dtype), tf.cast(items, compute_dtype)
        self.logits = tf.matmul(low_states, low_items, transpose_b=True)

    def distribution(self, temperature: float) -> "_Distribution":
        logits = self.logits if temperature == 1.0 else self.logits / temperature
        return _Distribution(self, tf.nn.softmax(logits), temperature)


class _Distribution:
    """Probabilities [N, V] at a temperature, and what follows from them."""

    def __init__(self, catalog: _Catalog, probabilities: tf.Tensor, temperature: float) -> None:
        self._states, self._logits = catalog.states, catalog.logits
        self._dtype, self._temperature = catalog.dtype, temperature
        self._probabilities = probabilities
        of_label = tf.gather(probabilities, catalog.labels - 1, batch_dims=1)
        self.label_log = tf.math.log(
            tf.maximum(tf.cast(of_label, tf.float32), _SMALLEST_PROBABILITY)
        )
        self._normalizer = self._logits_of(catalog.label_items) - self.label_log

    def _logits_of(self, vectors: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(self._states * vectors, axis=-1) / self._temperature

    def expected(self, items: tf.Tensor) -> tf.Tensor:
        """The mean item vector: float32 [N, D] of items [V, D]."""
        return tf.cast(tf.matmul(self._probabilities, tf.cast(items, self._dtype)), tf.float32)

    def expected_states(self, states: tf.Tensor) -> tf.Tensor:
        """The states that each item is given, summed: float32 [V, D]."""
        low_states = tf.cast(states, self._dtype)
        products = tf.matmul(self._probabilities, low_states, transpose_a=True)
        return tf.cast(products, tf.float32)

    def entropy(self) -> tf.Tensor:
        """Mean negative log-probability of its own items, in nats: [N]."""
        # Not from `expected`: the teacher may be wide, and this is one pass over [N, V].
        mean_logit = tf.reduce_sum(tf.cast(self._probabilities * self._logits, tf.float32), axis=-1)
        return self._normalizer - mean_logit / self._temperature

    def log_likelihood(self, expected_items: tf.Tensor) -> tf.Tensor:
        """Mean log-probability, in nats, of items drawn so that their mean vector is this: [N]."""
        return self._logits_of(expected_items) - self._normalizer
