"""Many-to-many layer distillation by Earth Mover's Distance (arXiv:2107.07173v2, section 3.3).

Student and teacher layers are two piles of mass; moving mass between layer s and layer t costs the
distance of their states. The optimal plan says which layers teach which. POT solves it; this module
defines distances and masses, and leaves the variables to the training loops.
"""

import numpy as np
import ot
import tensorflow as tf

_MASS_FLOOR = 1e-3  # added to every share before they are made to sum to 1


def ground_distance(student_states: tf.Tensor, teacher_states: tf.Tensor, kind: str) -> tf.Tensor:
    """Distance of every student layer to every teacher layer.

    Args:
      student_states: float32 [S, N, D], projected to the teacher's width, at N real positions.
      teacher_states: float32 [T, N, D].
      kind: `kl` (paper): KL(teacher || student) of the states' softmax over channels, in nats;
        `mse`: mean squared difference, relative to the teacher layer's mean square.

    Returns:
      float32 [S, T], means over positions.
    """
    num_positions = tf.cast(tf.maximum(tf.shape(teacher_states)[1], 1), tf.float32)
    if kind == "kl":
        teacher_log = tf.nn.log_softmax(teacher_states)
        teacher_share = tf.exp(teacher_log)
        negative_entropy = tf.reduce_sum(teacher_share * teacher_log, axis=[1, 2])
        cross = _inner(tf.nn.log_softmax(student_states), teacher_share)
        return (negative_entropy[tf.newaxis] - cross) / num_positions
    student_square = tf.reduce_sum(tf.square(student_states), axis=[1, 2])
    teacher_square = tf.reduce_sum(tf.square(teacher_states), axis=[1, 2])
    cross = _inner(student_states, teacher_states)
    squared = student_square[:, tf.newaxis] - 2.0 * cross + teacher_square[tf.newaxis]
    return squared / tf.maximum(teacher_square, 1e-12)[tf.newaxis]


def _inner(student: tf.Tensor, teacher: tf.Tensor) -> tf.Tensor:
    """Inner products [S, T] of [S, N, D] and [T, N, D]: one product, never [S, T, N, D]."""
    flat_student = tf.reshape(student, [tf.shape(student)[0], -1])
    flat_teacher = tf.reshape(teacher, [tf.shape(teacher)[0], -1])
    return tf.matmul(flat_student, flat_teacher, transpose_b=True)


def transport_plan(
    student_mass: tf.Tensor, teacher_mass: tf.Tensor, distance: tf.Tensor
) -> tf.Tensor:
    """The cheapest way to move the student's mass onto the teacher's, solved exactly on the host.

    Args:
      student_mass: float32 [S], positive, sums to 1.
      teacher_mass: float32 [T], positive, sums to 1.
      distance: float32 [S, T].

    Returns:
      float32 [S, T]: rows sum to `student_mass`, columns to `teacher_mass`. A constant for
      gradients: with fixed masses, the gradient of the cost at the optimum is the plan itself
      (envelope theorem).
    """
    stopped = [tf.stop_gradient(x) for x in (student_mass, teacher_mass, distance)]
    plan = tf.numpy_function(_solve, stopped, tf.float32, stateful=False)
    return tf.stop_gradient(tf.ensure_shape(plan, distance.shape))


def _solve(student_mass: np.ndarray, teacher_mass: np.ndarray, distance: np.ndarray) -> np.ndarray:
    # Solved in float64, and rescaled to sum to 1 there: POT refuses unequal totals.
    source = student_mass.astype(np.float64)
    target = teacher_mass.astype(np.float64)
    plan = ot.emd(source / source.sum(), target / target.sum(), distance.astype(np.float64))
    return np.asarray(plan, np.float32)


def emd_loss(plan: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
    """Cost of moving the student's layer masses onto the teacher's.

    Args:
      plan: float32 [S, T], non-negative, sums to 1; a constant.
      distance: float32 [S, T]; gradients flow through it alone.

    Returns:
      Scalar float32, in the unit of the distance.
    """
    return tf.reduce_sum(tf.stop_gradient(plan) * distance)


def uniform_mass(num_layers: int) -> np.ndarray:
    """float32 [num_layers], equal shares."""
    return np.full(num_layers, 1.0 / num_layers, np.float32)


def update_mass(
    mass: tf.Tensor, layer_cost: tf.Tensor, *, kind: str, temperature: float, momentum: float
) -> tf.Tensor:
    """New masses from what each layer paid: the cheaper to move, the more mass.

    Args:
      mass: float32 [M], positive, sums to 1.
      layer_cost: float32 [M], sum of plan x distance over the other side.
      kind: `softmax`: shares are softmax(-price / temperature) of the price per unit of mass,
        relative to the mean price, so that the temperature means the same for every distance;
        `normalise`: shares are proportional to 1 / price (as in BERT-EMD).
      temperature: of the softmax.
      momentum: share of the old mass that stays.

    Returns:
      float32 [M], positive, sums to 1.
    """
    price = layer_cost / tf.maximum(mass, 1e-6)
    price = tf.maximum(price / tf.maximum(tf.reduce_mean(price), 1e-12), 1e-3)
    if kind == "softmax":
        share = tf.nn.softmax(-price / temperature)
    else:
        share = (1.0 / price) / tf.reduce_sum(1.0 / price)
    updated = momentum * mass + (1.0 - momentum) * share
    # A layer without mass pays nothing, looks cheap, and would take all of it back: never quite 0.
    smoothed = updated / tf.reduce_sum(updated) + _MASS_FLOOR
    return smoothed / tf.reduce_sum(smoothed)
