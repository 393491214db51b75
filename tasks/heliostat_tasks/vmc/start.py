"""Where electrons start: dealt to the nuclei, spins balanced atom by atom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heliostat_tasks.vmc.ansatz import slater_exponents


def homes(charges: Sequence[int], up: int, down: int) -> np.ndarray:
    """The nucleus of every electron, ``(up + down,)`` indices, spin up first.

    A nucleus gets about as many electrons as its charge; of those, spins alternate, so
    that bonds start covalent.  A net charge is taken from, or put on, the nuclei with
    the most charge per electron.

    Example:
        >>> homes((3, 1), 2, 2).tolist()        # LiH: Li has 2 up and 1 down, H 1 down
        [0, 0, 0, 1]
    """
    seats = _seats(charges, up + down)
    free = {+1: up, -1: down}
    dealt: list[tuple[int, int]] = []
    for nucleus, count in enumerate(seats):
        # whichever spin has more electrons left leads: neighbours then alternate
        for _ in range(count):
            here = sum(s for i, s in dealt if i == nucleus)
            spin = 1 if here < 0 or (here == 0 and free[1] >= free[-1]) else -1
            spin = spin if free[spin] else -spin
            free[spin] -= 1
            dealt.append((nucleus, spin))
    ordered = [i for i, s in dealt if s > 0] + [i for i, s in dealt if s < 0]
    return np.array(ordered, dtype=np.int32)


def spreads(charges: Sequence[int], homes: np.ndarray, up: int) -> np.ndarray:
    """How far electrons start from their nucleus, per coordinate, ``(n,)`` bohr.

    1/ζ of the shell that an electron of its spin would fill next, at most 1.5: a core
    electron that starts far out would take thousands of moves to come home.

    Example:
        >>> spreads((3, 1), np.array([0, 0, 0, 1]), 2).round(2).tolist()
        [0.37, 1.5, 0.37, 1.0]
    """
    found = []
    for i, nucleus in enumerate(homes):
        exponents = slater_exponents(charges[nucleus])
        alike = homes[:i] if i < up else homes[up:i]
        shell = int(np.searchsorted((1, 5, 9, 18), np.sum(alike == nucleus), "right"))
        found.append(min(1.5, 1 / exponents[min(shell, len(exponents) - 1)]))
    return np.array(found)


def _seats(charges: Sequence[int], electrons: int) -> list[int]:
    """Electrons per nucleus, as near to its charge as their number allows."""
    seats = [0] * len(charges)
    for _ in range(electrons):
        wants = [(z - s) / z for z, s in zip(charges, seats, strict=True)]
        seats[int(np.argmax(wants))] += 1
    return seats
