"""How much new questions add: the diversity gain of MetaMath (2309.12284, section 3.6)."""

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 512
"""Embeddings that are compared with all others at a time."""


def gain(new: NDArray[np.float32], base: NDArray[np.float32]) -> float:
    """d_gain = 1/M sum over the M new x_i of min over the given x_j of ||f(x_i) - f(x_j)||^2.

    `new` is float[M, d], `base` float[N, d]: the embeddings f. Raises ValueError where either is empty.
    """
    if not len(new) or not len(base):
        raise ValueError("there is nothing to compare")
    given = base.astype(np.float64)
    squares = (given**2).sum(axis=1)
    total = 0.0
    for start in range(0, len(new), AT_ONCE):
        part = new[start : start + AT_ONCE].astype(np.float64)
        distances = (part**2).sum(axis=1)[:, None] - 2 * part @ given.T + squares
        total += float(np.maximum(distances.min(axis=1), 0.0).sum())
    return total / len(new)
