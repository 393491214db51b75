"""Slater's rules: exponents of the shells of atoms, a first guess of their orbitals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Shell(NamedTuple):
    """One exponential of the envelope."""

    nucleus: int
    depth: int  # 0 is the outermost shell
    exponent: float  # 1/bohr


def shells_of(charges: Sequence[int]) -> tuple[Shell, ...]:
    """List the shells of all nuclei, the innermost of each first.

    Args:
        charges: charges of the nuclei, elementary charges.

    Returns:
        One entry per nucleus and shell.

    Example:
        >>> [shell.depth for shell in shells_of((3, 1))]
        [1, 0, 0]
    """
    return tuple(
        Shell(nucleus, len(exponents) - 1 - n, exponent)
        for nucleus, charge in enumerate(charges)
        for exponents in [slater_exponents(charge)]
        for n, exponent in enumerate(exponents)
    )


def slater_exponents(charge: int) -> tuple[float, ...]:
    """Compute the exponents of an atom's shells by Slater's rules.

    ζ_n = (Z − σ_n)/n with screening 0.35 from the same shell (0.30 in the first), 0.85
    from the shell below and 1 from deeper ones.

    Args:
        charge: charge of the nucleus, elementary charges.

    Returns:
        Exponents in 1/bohr, innermost shell first.

    Example:
        >>> [round(z, 2) for z in slater_exponents(3)]
        [2.7, 0.65]

    Reference: J. C. Slater, Phys. Rev. 36, 57 (1930).
    """
    left, filled, exponents = charge, [], []
    for n, capacity in enumerate((2, 8, 8, 18, 18), start=1):
        if left <= 0:
            break
        count = min(left, capacity)
        screening = (0.3 if n == 1 else 0.35) * (count - 1)
        screening += 0.85 * filled[-1] + sum(filled[:-1]) if filled else 0.0
        exponents.append((charge - screening) / n)
        filled.append(count)
        left -= count
    return tuple(exponents)
