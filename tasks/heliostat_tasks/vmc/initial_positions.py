"""Initial positions of electrons: near nuclei, as Hartree-Fock populates them.

Nuclei of equal claims are served in the order given, so callers order them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from heliostat_tasks.vmc.wavefunction.slater import slater_exponents

SAME = 1e-6
"""Difference of two costs that rounding could make; the first nucleus is then taken."""


def assign_electrons(
    nuclei: Float[np.ndarray, "nuclei 3"],
    populations: Float[np.ndarray, "2 nuclei"],
    up: int,
    down: int,
) -> Int[np.ndarray, " n"]:
    """Assign every electron to a nucleus, by populations rounded to whole electrons.

    Roundings repel each other as charges do: with populations P and M of charge and of
    spin, whole numbers N and S have a low energy

        Σ_AB (N − P)_A Γ_AB (N − P)_B,    Γ_AB = 1/(1 + |R_A − R_B|)

    and the same for S − M. Parts of a molecule that lie apart are therefore neutral if
    their populations are, and the spins of neighbours alternate.

    Args:
        nuclei: positions, bohr.
        populations: electrons of spin up and down at each nucleus.
        up: electrons of spin up.
        down: electrons of spin down.

    Returns:
        Index of the nucleus of each electron, spin up first.

    Example:
        >>> far = np.array([[0, 0, 0.0], [20, 0, 0], [0, 0, 1.4], [20, 0, 1.4]])  # 2 H2
        >>> assign_electrons(far, np.full((2, 4), 0.5), 2, 2).tolist()
        [0, 3, 1, 2]
    """
    distances = np.linalg.norm(nuclei[:, None] - nuclei[None], axis=-1)
    gamma = 1 / (1 + distances)
    counts = _whole_counts(populations.sum(axis=0), gamma, up + down)
    spins = _deal_spins(counts, populations[0] - populations[1], distances, up)
    index = np.arange(len(nuclei), dtype=np.int32)
    return np.concatenate(
        [np.repeat(index, (counts + s * spins) // 2) for s in (1, -1)]
    )


def widths(
    charges: Sequence[int], nuclei: Int[np.ndarray, " n"], up: int
) -> Float[np.ndarray, " n"]:
    """Return the standard deviation of each electron's start around its nucleus.

    It is 1/ζ of the shell that an electron of this spin fills next, at most 1.5 bohr: a
    core electron that starts far out takes thousands of moves to come back.

    Args:
        charges: charges of the nuclei, elementary charges.
        nuclei: nucleus of each electron, from :func:`assign_electrons`.
        up: electrons of spin up, which come first.

    Returns:
        Widths per coordinate, bohr.

    Example:
        >>> widths((3, 1), np.array([0, 0, 0, 1]), 2).round(2).tolist()
        [0.37, 1.5, 0.37, 1.0]
    """
    result = []
    for i, nucleus in enumerate(nuclei):
        exponents = slater_exponents(charges[nucleus])
        same_spin = nuclei[:i] if i < up else nuclei[up:i]
        earlier = np.sum(same_spin == nucleus)
        shell = int(np.searchsorted((1, 5, 9, 18), earlier, "right"))
        result.append(min(1.5, 1 / exponents[min(shell, len(exponents) - 1)]))
    return np.array(result)


def _whole_counts(target: np.ndarray, gamma: np.ndarray, total: int) -> np.ndarray:
    """Round electrons per nucleus to whole numbers with a given sum."""
    counts = np.floor(target + SAME).astype(int)
    while (missing := total - counts.sum()) != 0:
        step = int(np.sign(missing))
        cost = np.diag(gamma) + 2 * step * gamma @ (counts - target)
        cost[counts + step < 0] = np.inf
        counts[_least(cost)] += step
    return _relax(counts, target, gamma, 1, counts * 0, counts * 0 + total)


def _deal_spins(
    counts: np.ndarray, target: np.ndarray, distances: np.ndarray, up: int
) -> np.ndarray:
    """Choose n_up − n_down of every nucleus, from neighbour to neighbour."""
    gamma = 1 / (1 + distances)
    spins, dealt = np.zeros_like(counts), np.zeros(len(counts), dtype=bool)
    left = [up, counts.sum() - up]
    for _ in counts:
        near = np.where(dealt[None], distances, np.inf).min(axis=1)
        nucleus = _least(np.where(dealt, np.inf, np.where(dealt.any(), near, 0)))
        n = counts[nucleus]
        choices = np.array(
            [2 * u - n for u in range(n, -1, -1) if u <= left[0] and n - u <= left[1]]
        )
        field = gamma[nucleus, dealt] @ (spins - target)[dealt]
        cost = (choices - target[nucleus]) ** 2 + 2 * choices * field
        spins[nucleus] = choices[_least(cost)]
        dealt[nucleus] = True
        left[0] -= (n + spins[nucleus]) // 2
        left[1] -= (n - spins[nucleus]) // 2
    return _relax(spins, target, gamma, 2, -counts, counts)


def _relax(
    values: np.ndarray,
    target: np.ndarray,
    gamma: np.ndarray,
    step: int,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Move steps between two nuclei as long as that lowers the energy."""
    values, self_energy = values.copy(), np.diag(gamma)
    while True:
        field = gamma @ (values - target)
        pairs = self_energy[:, None] + self_energy[None] - 2 * gamma
        change = step**2 * pairs + 2 * step * (field[None] - field[:, None])
        allowed = (values - step >= low)[:, None] & (values + step <= high)[None]
        change = np.where(allowed & (pairs > 0), change, np.inf)
        start, end = np.unravel_index(_least(change), change.shape)
        if not change[start, end] < -SAME:
            return values
        values[start] -= step
        values[end] += step


def _least(cost: np.ndarray) -> int:
    """Return the first index of the least cost; rounding makes no difference."""
    return int(np.argmax(cost.ravel() <= cost.min() + SAME))
