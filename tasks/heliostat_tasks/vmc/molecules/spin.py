"""Spins of ground states: Hund's rule for atoms and ions, and electrons of each spin.

Hund's first rule fills the open shell with parallel spins.  Shells fill in Madelung's
order in neutral atoms and anions; in cations 3d comes before 4s.  Three configurations
from H to Kr break that order with a different spin; copper breaks it with the same one.

Reference: ground levels in Kramida et al., NIST Atomic Spectra Database.
"""

from __future__ import annotations

_MADELUNG = "1s 2s 2p 3s 3p 4s 3d 4p 5s 4d 5p 6s".split()
_CATION = "1s 2s 2p 3s 3p 3d 4s 4p".split()
_CAPACITY = {"s": 2, "p": 6, "d": 10}
_EXCEPTIONS = {
    (24, 24): 6,  # Cr 3d5 4s, 7S
    (25, 24): 6,  # Mn+ 3d5 4s, 7S
    (26, 25): 5,  # Fe+ 3d6 4s, 6D
}


def hund(nucleus: int, electrons: int) -> int:
    """Return n_up − n_down of the ground state of an atom or ion up to krypton.

    Anions that do not bind their electron have the spin of their filling order.

    Args:
        nucleus: charge of the nucleus, elementary charges, 1 to 36.
        electrons: number of electrons, at least 1.

    Returns:
        Twice the spin of the ground term, 2S.

    Example:
        >>> [hund(z, z) for z in (6, 7, 24, 26)], hund(7, 6), hund(26, 24)
        ([2, 3, 6, 4], 2, 4)
    """
    exception = _EXCEPTIONS.get((nucleus, electrons))
    if exception is not None:
        return exception
    for shell in _MADELUNG if electrons >= nucleus else _CATION:
        capacity = _CAPACITY[shell[-1]]
        if electrons <= capacity:
            return min(electrons, capacity - electrons)
        electrons -= capacity
    return electrons % 2  # no such anion exists


def split(electrons: int, charge: int, spin: int) -> tuple[int, int]:
    """Return n_up and n_down.

    Args:
        electrons: their number.
        charge: net charge, for messages.
        spin: n_up − n_down.

    Raises:
        ValueError: if there are no such numbers, in one line.

    Example:
        >>> split(7, 0, 3)
        (5, 2)
    """
    if electrons < 1:
        raise ValueError(
            f"charge {charge} leaves {electrons} electrons; at least 1 is needed, "
            "lower the charge"
        )
    if spin < 0:
        raise ValueError(
            f"spin must be n_up - n_down >= 0, got {spin}; {-spin} has the same energy"
        )
    if spin > electrons:
        raise ValueError(
            f"spin {spin} needs at least {spin} electrons but there are {electrons}; "
            f"spin is n_up - n_down, at most {electrons}"
        )
    if (electrons - spin) % 2:
        kind = "even" if electrons % 2 == 0 else "odd"
        raise ValueError(
            f"spin {spin} does not fit {electrons} electrons: n_up - n_down must be "
            f"{kind}; set spin to {electrons % 2} or change the charge"
        )
    return (electrons + spin) // 2, (electrons - spin) // 2
