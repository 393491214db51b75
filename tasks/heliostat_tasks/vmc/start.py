"""Where electrons start: dealt to the nuclei, spins balanced atom by atom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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


def _seats(charges: Sequence[int], electrons: int) -> list[int]:
    """Electrons per nucleus, as near to its charge as their number allows."""
    seats = [0] * len(charges)
    for _ in range(electrons):
        wants = [(z - s) / z for z, s in zip(charges, seats, strict=True)]
        seats[int(np.argmax(wants))] += 1
    return seats
