"""Gradients by central differences: one coordinate at a time."""

from collections.abc import Callable

import numpy as np


def central_differences(
    function: Callable[[np.ndarray], float], at: np.ndarray, step: float
) -> np.ndarray:
    """The gradient of a scalar function at a point, of the point's shape."""
    gradient = np.zeros_like(at, np.float64)
    for index in np.ndindex(at.shape):
        higher, lower = at.copy(), at.copy()
        higher[index] += step
        lower[index] -= step
        gradient[index] = (function(higher) - function(lower)) / (2 * step)
    return gradient
