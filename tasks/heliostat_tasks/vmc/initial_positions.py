"""Initial positions of electrons: each at a nucleus, spins balanced atom by atom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from heliostat_tasks.vmc.wavefunction.slater import slater_exponents


def assign_electrons(
    charges: Sequence[int], up: int, down: int
) -> Int[np.ndarray, " n"]:
    """Assign every electron to a nucleus.

    A nucleus gets about as many electrons as its charge. Spins alternate on it, so that
    bonds start covalent. A net charge is taken from, or put on, the nuclei with the
    most charge per electron.

    Args:
        charges: charges of the nuclei, elementary charges.
        up: electrons of spin up.
        down: electrons of spin down.

    Returns:
        Index of the nucleus of each electron, spin up first.

    Example:
        >>> assign_electrons((3, 1), 2, 2).tolist()  # Li: 2 up and 1 down, H: 1 down
        [0, 0, 0, 1]
    """
    remaining = {+1: up, -1: down}
    assigned: list[tuple[int, int]] = []
    for nucleus, count in enumerate(_electron_counts(charges, up + down)):
        # the spin with more electrons left leads, so that neighbours alternate
        for _ in range(count):
            net = sum(s for i, s in assigned if i == nucleus)
            leading = net == 0 and remaining[1] >= remaining[-1]
            spin = 1 if net < 0 or leading else -1
            spin = spin if remaining[spin] else -spin
            remaining[spin] -= 1
            assigned.append((nucleus, spin))
    ordered = [i for i, s in assigned if s > 0] + [i for i, s in assigned if s < 0]
    return np.array(ordered, dtype=np.int32)


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


def _electron_counts(charges: Sequence[int], electrons: int) -> list[int]:
    """Count electrons per nucleus, as near to its charge as their number allows."""
    counts = [0] * len(charges)
    for _ in range(electrons):
        missing = [(z - c) / z for z, c in zip(charges, counts, strict=True)]
        counts[int(np.argmax(missing))] += 1
    return counts
