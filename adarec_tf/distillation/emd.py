"""Many-to-many layer distillation by Earth Mover's Distance (arXiv:2107.07173v2, section 3.3).

Student and teacher layers are two piles of mass; moving mass between layer s and layer t costs the
distance of their states. The optimal plan says which layers teach which. This module defines
distances, plans (exact by POT, entropic in the graph, or fixed) and masses, and leaves the
variables to the training loops. What is not finite goes through it as NaN, up to the loss, where
the training loops report it.
"""

import numpy as np
import ot
import tensorflow as tf

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
        `mse`: mean squared difference, relative to the teacher layer's mean square;
        `cosine`: 1 - cosine of the two states, from 0 to 2, and 1 where a state is zero.
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
    if kind == "cosine":
        directions = (tf.nn.l2_normalize(x, axis=-1) for x in (student_states, teacher_states))
        return 1.0 - _inner(*directions) / num_positions
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
      student_mass: float32 [S] or [B, S], positive, sums to 1.
      teacher_mass: float32 [T] or [B, T], positive, sums to 1.
      distance: float32 [S, T], or [B, S, T] for a plan each; masses without B serve all of them.

    Returns:
      float32, shaped like `distance`: rows sum to `student_mass`, columns to `teacher_mass`; NaN
      throughout where a mass or distance is not finite. A constant for gradients: with fixed
      masses, the gradient of the cost at the optimum is the plan itself (envelope theorem).
    """
    stopped = [tf.stop_gradient(x) for x in (student_mass, teacher_mass, distance)]
    plan = tf.numpy_function(_solve, stopped, tf.float32, stateful=False)
    return tf.stop_gradient(tf.ensure_shape(plan, distance.shape))


def _solve(student_mass: np.ndarray, teacher_mass: np.ndarray, distance: np.ndarray) -> np.ndarray:
    *batch, num_student_layers, num_teacher_layers = distance.shape
    sources = np.broadcast_to(student_mass, (*batch, num_student_layers))
    targets = np.broadcast_to(teacher_mass, (*batch, num_teacher_layers))
    plans = np.full(distance.shape, np.nan, np.float32)
    # One by one: the batched solvers of POT are entropic.
    for index in np.ndindex(*batch):
        source, target, costs = sources[index], targets[index], distance[index]
        # POT makes an arbitrary plan of NaN distances, and an empty one of infinite ones.
        if all(np.isfinite(x).all() for x in (source, target, costs)):
            plans[index] = _solve_one(*(x.astype(np.float64) for x in (source, target, costs)))
    return plans


def _solve_one(source: np.ndarray, target: np.ndarray, costs: np.ndarray) -> np.ndarray:
    # Rescaled to sum to 1 in float64: POT refuses unequal totals.
    return ot.emd(source / source.sum(), target / target.sum(), costs)


def sinkhorn_plan(
    student_mass: tf.Tensor,
    teacher_mass: tf.Tensor,
    distance: tf.Tensor,
    *,
    regularization: float,
    num_iterations: int,
) -> tf.Tensor:
    """A plan close to the cheapest, found in the graph: no host, XLA may compile it.

    Minimizes cost - regularization x entropy (Cuturi, arXiv:1306.0895), in the log domain, then
    moves the rest that the last iteration leaves, so that the margins hold however few there are.

    Args:
      student_mass: float32 [S] or [B, S], positive, sums to 1.
      teacher_mass: float32 [T] or [B, T], positive, sums to 1.
      distance: float32 [S, T], or [B, S, T] for a plan each; masses without B serve all of them.
      regularization: in units of each problem's mean distance, so that it means the same for every
        ground distance. The smaller, the closer to `transport_plan`, and the more iterations.
      num_iterations: of matching the rows and then the columns. With 50 and a regularization of
        0.05, plans of up to 4 x 16 layers cost 1% more than the cheapest.

    Returns:
      float32, shaped like `distance`: non-negative, rows sum to `student_mass`, columns to
      `teacher_mass`; NaN where a mass or distance is not finite. A constant for gradients.
    """
    rows, columns, distance = (
        tf.stop_gradient(x)
        for x in (student_mass[..., tf.newaxis], teacher_mass[..., tf.newaxis, :], distance)
    )
    mean = tf.reduce_mean(distance, axis=[-2, -1], keepdims=True)
    log_plan = -distance / (regularization * tf.maximum(mean, 1e-12))
    log_rows, log_columns = tf.math.log(rows), tf.math.log(columns)

    def match_margins(iteration: tf.Tensor, log_plan: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_plan += log_rows - tf.reduce_logsumexp(log_plan, axis=-1, keepdims=True)
        log_plan += log_columns - tf.reduce_logsumexp(log_plan, axis=-2, keepdims=True)
        return iteration + 1, log_plan

    # A loop of the graph: XLA takes a minute to compile fifty iterations written out.
    _, log_plan = tf.while_loop(lambda i, _: i < num_iterations, match_margins, (0, log_plan))
    return tf.stop_gradient(_with_margins(tf.exp(log_plan), rows, columns))


def _with_margins(plan: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """The plan with exactly these margins (Altschuler et al., arXiv:1705.09634, algorithm 2)."""
    plan *= tf.minimum(1.0, rows / tf.reduce_sum(plan, axis=-1, keepdims=True))
    plan *= tf.minimum(1.0, columns / tf.reduce_sum(plan, axis=-2, keepdims=True))
    missing_rows = tf.nn.relu(rows - tf.reduce_sum(plan, axis=-1, keepdims=True))
    missing_columns = tf.nn.relu(columns - tf.reduce_sum(plan, axis=-2, keepdims=True))
    missing = tf.reduce_sum(missing_rows, axis=-2, keepdims=True)
    return plan + tf.math.divide_no_nan(missing_rows * missing_columns, missing)


def fixed_plan(kind: str, num_student_layers: int, num_teacher_layers: int) -> np.ndarray:
    """A plan that stays: every student layer learns from one teacher layer, all with equal mass.

    With more student than teacher layers, `first` leaves the surplus with the teacher's last layer,
    `last` with its first, and `uniform` spreads it evenly.

    Args:
      kind: `first`: student layer s learns from teacher layer s; `last`: the teacher's last layers
        in their order; `uniform`: layers at equal steps, the last from the last (TinyBERT,
        arXiv:1909.10351), rounded up where the steps are no whole layers.
      num_student_layers: S.
      num_teacher_layers: T.

    Returns:
      float32 [S, T], sums to 1.

    Raises:
      ValueError: `kind` is none of these.
    """
    student_layers = np.arange(1, num_student_layers + 1)
    mappings = {
        "first": np.minimum(student_layers, num_teacher_layers),
        "last": np.maximum(student_layers + num_teacher_layers - num_student_layers, 1),
        "uniform": -(-student_layers * num_teacher_layers // num_student_layers),
    }
    if kind not in mappings:
        raise ValueError(f"`kind` should be one of {', '.join(mappings)}. Received: {kind!r}.")
    plan = np.zeros((num_student_layers, num_teacher_layers), np.float32)
    plan[student_layers - 1, mappings[kind] - 1] = 1.0 / num_student_layers
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
    mass: tf.Tensor, layer_cost: tf.Tensor, *, kind: str, temperature: float, momentum: float
) -> tf.Tensor:
    """New masses from what each layer paid: the cheaper to move, the more mass.

    Args:
      mass: float32 [M], positive, sums to 1.
      layer_cost: float32 [M], sum of plan x distance over the other side.
      kind: `softmax`: shares are softmax(-price / temperature) of the price per unit of mass,
        relative to the mean price, so that the temperature means the same for every distance;
        `normalize`: shares are proportional to 1 / price (as in BERT-EMD); `none`: the masses stay.
      temperature: of the softmax.
      momentum: share of the old mass that stays.

    Returns:
      float32 [M], positive, sums to 1.
    """
    if kind == "none":
        return tf.identity(mass)
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
