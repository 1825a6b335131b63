"""Earth Mover's Distance as the textbook linear programme, sharing no code with the library."""

import math

import numpy as np
from scipy.optimize import linprog


def transport_cost(source: np.ndarray, target: np.ndarray, distance: np.ndarray) -> float:
    """Least cost of moving `source` [S] onto `target` [T] at `distance` [S, T]."""
    num_sources, num_targets = distance.shape
    constraints = []
    for row in range(num_sources):
        margin = np.zeros_like(distance)
        margin[row] = 1
        constraints.append(margin.ravel())
    for column in range(num_targets):
        margin = np.zeros_like(distance)
        margin[:, column] = 1
        constraints.append(margin.ravel())
    result = linprog(
        distance.ravel(), A_eq=np.array(constraints), b_eq=np.concatenate([source, target])
    )
    assert result.success
    return float(result.fun)


def mean_kl(student: np.ndarray, teacher: np.ndarray) -> float:
    """KL(softmax(teacher) || softmax(student)), averaged over rows, one number at a time."""
    total = 0.0
    for student_row, teacher_row in zip(student, teacher, strict=True):
        q = np.exp(student_row) / np.exp(student_row).sum()
        p = np.exp(teacher_row) / np.exp(teacher_row).sum()
        for p_channel, q_channel in zip(p, q, strict=True):
            total += p_channel * np.log(p_channel / q_channel)
    return total / len(student)


def relative_squared_distance(student: np.ndarray, teacher: np.ndarray) -> float:
    """Squared difference, relative to the square of the teacher, one number at a time."""
    difference = square = 0.0
    for x, y in zip(student.ravel(), teacher.ravel(), strict=True):
        difference += (float(x) - float(y)) ** 2
        square += float(y) ** 2
    return difference / square


def updated_mass(mass: list[float], paid: list[float], momentum: float = 0.9) -> list[float]:
    """Nine tenths of the old masses and one of softmax(-price), a layer at a time; none is 0."""
    prices = [cost / share for cost, share in zip(paid, mass, strict=True)]
    mean = max(sum(prices) / len(prices), 1e-12)
    pull = [math.exp(-max(price / mean, 1e-3)) for price in prices]
    moved = [
        momentum * share + (1 - momentum) * part / sum(pull)
        for share, part in zip(mass, pull, strict=True)
    ]
    smoothed = [share / sum(moved) + 1e-3 for share in moved]
    return [share / sum(smoothed) for share in smoothed]
