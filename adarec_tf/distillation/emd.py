"""Many-to-many layer distillation by Earth Mover's Distance (arXiv:2107.07173v2, section 3.3).

Student and teacher layers are two piles of mass; moving mass between layer s and layer t costs the
distance of their states. The optimal plan says which layers teach which. This module defines
distances, plans (exact by POT, or fixed) and masses, and leaves the variables to the training
loops. What is not finite goes through it as NaN, up to the loss, where
the training loops report it.
"""

import numpy as np
import ot
import tensorflow as tf

MASS_MOMENTUM = 0.9  # share of the old masses that an update keeps
_MASS_FLOOR = 1e-3  # added to every share before they are made to sum to 1


def ground_distance(
    student_states: tf.Tensor,
    teacher_states: tf.Tensor,
    kind: str,
    teacher_square: tf.Tensor | None = None,
) -> tf.Tensor:
    """Distance of every student layer to every teacher layer.

    Args:
      student_states: float32 [S, N, D], projected to the teacher's width, at N real positions.
      teacher_states: float32 [T, N, D].
      kind: `kl` (paper): KL(teacher || student) of the states' softmax over channels, in nats;
        `mse`: mean squared difference, relative to the teacher layer's mean square.
      teacher_square: float32 [T], sum over channels of that mean square; None takes these states'.

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
    own_square = tf.reduce_sum(tf.square(teacher_states), axis=[1, 2])
    cross = _inner(student_states, teacher_states)
    squared = student_square[:, tf.newaxis] - 2.0 * cross + own_square[tf.newaxis]
    unit = own_square if teacher_square is None else num_positions * teacher_square
    return squared / tf.maximum(unit, 1e-12)[tf.newaxis]


def mean_square(states: tf.Tensor) -> tf.Tensor:
    """Sum over channels, mean over positions of the squares of states [T, N, D]: float32 [T]."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(states), axis=2), axis=1)


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
      float32 [S, T]: rows sum to `student_mass`, columns to `teacher_mass`; NaN throughout where a
      mass or distance is not finite. A constant for gradients: with fixed masses, the gradient of
      the cost at the optimum is the plan itself (envelope theorem).
    """
    stopped = [tf.stop_gradient(x) for x in (student_mass, teacher_mass, distance)]
    plan = tf.numpy_function(_solve, stopped, tf.float32, stateful=False)
    return tf.stop_gradient(tf.ensure_shape(plan, distance.shape))


def _solve(student_mass: np.ndarray, teacher_mass: np.ndarray, distance: np.ndarray) -> np.ndarray:
    source, target, costs = (x.astype(np.float64) for x in (student_mass, teacher_mass, distance))
    # POT makes an arbitrary plan of NaN distances, and an empty one of infinite ones.
    if not all(np.isfinite(x).all() for x in (source, target, costs)):
        return np.full(distance.shape, np.nan, np.float32)
    # Rescaled to sum to 1 in float64: POT refuses unequal totals.
    plan = ot.emd(source / source.sum(), target / target.sum(), costs)
    return plan.astype(np.float32)


def uniform_plan(num_student_layers: int, num_teacher_layers: int) -> np.ndarray:
    """A plan that stays: student layers learn from teacher layers at equal steps.

    The last layer learns from the last; steps that are no whole layers are rounded up. A teacher
    layer may teach several where the student has more layers.

    Args:
      num_student_layers: S.
      num_teacher_layers: T.

    Returns:
      float32 [S, T], rows of equal mass, sums to 1.

    Reference:
      TinyBERT: Jiao et al., arXiv:1909.10351.

    Examples:
        >>> uniform_plan(2, 4)
        array([[0. , 0.5, 0. , 0. ],
               [0. , 0. , 0. , 0.5]], dtype=float32)
    """
    student_layers = np.arange(1, num_student_layers + 1)
    teacher_layers = -(-student_layers * num_teacher_layers // num_student_layers)
    plan = np.zeros((num_student_layers, num_teacher_layers), np.float32)
    plan[student_layers - 1, teacher_layers - 1] = 1.0 / num_student_layers
    return plan


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
    mass: tf.Tensor, layer_cost: tf.Tensor, *, momentum: float = MASS_MOMENTUM
) -> tf.Tensor:
    """New masses from what each layer paid: the cheaper to move, the more mass.

    The new shares are softmax(-price) of the price per unit of mass, relative to the mean price.

    Args:
      mass: float32 [M], positive, sums to 1.
      layer_cost: float32 [M], sum of plan x distance over the other side.
      momentum: share of the old mass that stays.

    Returns:
      float32 [M], positive, sums to 1.
    """
    price = layer_cost / tf.maximum(mass, 1e-6)
    price = tf.maximum(price / tf.maximum(tf.reduce_mean(price), 1e-12), 1e-3)
    updated = momentum * mass + (1.0 - momentum) * tf.nn.softmax(-price)
    # A layer without mass pays nothing, looks cheap, and would take all of it back: never quite 0.
    smoothed = updated / tf.reduce_sum(updated) + _MASS_FLOOR
    return smoothed / tf.reduce_sum(smoothed)
