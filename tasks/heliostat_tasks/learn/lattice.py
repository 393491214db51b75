"""States of Ising and Potts lattices to learn from, and the couplings they came from.

Chromatic Gibbs in NumPy: sites of one colour do not interact, so that all of them are
drawn at once, in all chains.  Every state is the end of a chain of its own.  The same
numbers come out on every machine, whatever its accelerator: data are data.

    p(x_i = a | rest) ∝ exp(K n_a),      n_a = neighbours of i with value a

An Ising lattice is this with two values and 2K.

Reference: Geman and Geman, IEEE PAMI 6, 721 (1984).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import numpy as np

from heliostat.kernels.discrete.lattices import ising

SWEEPS = 500
"""From random states; near K_c a 10 × 10 lattice forgets within about a hundred."""


def neighbours(size: int) -> np.ndarray:
    """Of each site of a periodic lattice, (D, 4)."""
    sites = np.arange(size**2).reshape(size, size)
    moved = [np.roll(sites, by, axis).ravel() for by in (1, -1) for axis in (0, 1)]
    return np.stack(moved, axis=1)


def adjacency(size: int) -> np.ndarray:
    """1 where an edge is, (D, D)."""
    near = neighbours(size)
    found = np.zeros((len(near), len(near)))
    found[np.arange(len(near))[:, None], near] = 1.0
    return found


@lru_cache(maxsize=8)
def states(
    size: int, values: int, coupling: float, count: int, seed: int
) -> np.ndarray:
    """Independent states of a lattice, (count, D) uint8.

    Args:
        size: side, at least 3.
        values: 2 is Ising, more is Potts.
        coupling: K of each edge, counted once.
        count: how many states.
        seed: of the random numbers.

    Example:
        >>> states(4, 2, 0.2, count=8, seed=0).shape
        (8, 16)
    """
    draw = np.random.default_rng(seed)
    weights = _weights(2 * coupling if values == 2 else coupling)
    near, colours = neighbours(size), np.array(ising(size, 0.0).colours)
    sets = [np.flatnonzero(colours == c) for c in range(colours.max() + 1)]
    x = draw.integers(0, values, (size**2, count), np.uint8)
    for _ in range(SWEEPS):
        for mine in sets:
            around = [x[there] for there in near[mine].T]
            x[mine] = _drawn(draw, around, values, weights)
    return np.ascontiguousarray(x.T)


def _weights(coupling: float) -> np.ndarray:
    """exp(K n) for n = 0 … 4, the largest being 1."""
    logs = coupling * np.arange(5)
    return np.exp(logs - logs.max()).astype(np.float32)


def _drawn(
    draw: np.random.Generator,
    around: list[np.ndarray],
    values: int,
    weights: np.ndarray,
) -> np.ndarray:
    """Values given those of their neighbours, each (m, n), in one byte all along."""
    alike = lambda a: sum((y == a).view(np.uint8) for y in around)  # noqa: E731
    marks = list(accumulate(weights.take(alike(a)) for a in range(values)))
    u = draw.random(marks[-1].shape, np.float32) * marks[-1]
    return np.stack([mark <= u for mark in marks[:-1]]).sum(0, dtype=np.uint8)


def truth(size: int, values: int, coupling: float) -> np.ndarray:
    """J_ij of every pair i < j: (P,), or (P, q, q) in the zero-sum gauge."""
    pairs = coupling * adjacency(size)[np.triu_indices(size**2, 1)]
    if values == 2:
        return pairs
    return pairs[:, None, None] * (np.eye(values) - 1 / values)
