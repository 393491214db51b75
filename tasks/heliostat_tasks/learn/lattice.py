"""States of Ising and Potts lattices, drawn by chromatic Gibbs, and their couplings.

Sites of one colour do not interact, so all of them are drawn at once, in all chains.
Every state is the end of a separate chain. NumPy draws them, so that every machine and
accelerator learns from the same data.

    p(x_i = a | rest) ∝ exp(K n_a),      n_a = neighbours of i with value a

An Ising lattice is the case of two values and 2K.

Reference: Geman and Geman, IEEE PAMI 6, 721 (1984).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import numpy as np
from jaxtyping import Float, Integer, UInt8

from heliostat.kernels.discrete.lattices import ising

SWEEPS = 500
"""Sweeps of each chain; near K_c a 10 × 10 lattice forgets its start in about 100."""


def neighbours(size: int) -> Integer[np.ndarray, "sites 4"]:
    """Return the neighbours of each site of a periodic lattice."""
    sites = np.arange(size**2).reshape(size, size)
    rolled = [np.roll(sites, by, axis).ravel() for by in (1, -1) for axis in (0, 1)]
    return np.stack(rolled, axis=1)


def adjacency(size: int) -> Float[np.ndarray, "sites sites"]:
    """Return the adjacency matrix of a periodic lattice."""
    near = neighbours(size)
    matrix = np.zeros((len(near), len(near)))
    matrix[np.arange(len(near))[:, None], near] = 1.0
    return matrix


@lru_cache(maxsize=8)
def draw_states(
    size: int, values: int, coupling: float, count: int, seed: int
) -> UInt8[np.ndarray, "count sites"]:
    """Draw independent states of a lattice.

    Args:
        size: side, at least 3.
        values: 2 is Ising, more is Potts.
        coupling: K of each edge, counted once.
        count: number of states.
        seed: seed of the random numbers.

    Example:
        >>> draw_states(4, 2, 0.2, count=8, seed=0).shape
        (8, 16)
    """
    rng = np.random.default_rng(seed)
    weights = _weights(2 * coupling if values == 2 else coupling)
    near, colours = neighbours(size), np.array(ising(size, 0.0).colours)
    sets = [np.flatnonzero(colours == c) for c in range(colours.max() + 1)]
    x = rng.integers(0, values, (size**2, count), np.uint8)
    for _ in range(SWEEPS):
        for mine in sets:
            around = [x[sites] for sites in near[mine].T]
            x[mine] = _draw_values(rng, around, values, weights)
    return np.ascontiguousarray(x.T)


def _weights(coupling: float) -> np.ndarray:
    """Return exp(K n) for n = 0 … 4, scaled so that the largest is 1."""
    logs = coupling * np.arange(5)
    return np.exp(logs - logs.max()).astype(np.float32)


def _draw_values(
    rng: np.random.Generator,
    around: list[np.ndarray],
    values: int,
    weights: np.ndarray,
) -> UInt8[np.ndarray, "m n"]:
    """Draw values of sites given those of their neighbours, all in single bytes."""
    alike = lambda a: sum((y == a).view(np.uint8) for y in around)  # noqa: E731
    marks = list(accumulate(weights.take(alike(a)) for a in range(values)))
    u = rng.random(marks[-1].shape, np.float32) * marks[-1]
    return np.stack([mark <= u for mark in marks[:-1]]).sum(0, dtype=np.uint8)


def true_couplings(
    size: int, values: int, coupling: float
) -> Float[np.ndarray, "pairs ..."]:
    """Return J_ij of every pair i < j: (P,), or (P, q, q) in the zero-sum gauge."""
    pairs = coupling * adjacency(size)[np.triu_indices(size**2, 1)]
    if values == 2:
        return pairs
    return pairs[:, None, None] * (np.eye(values) - 1 / values)
