"""Heads by the names that users give, one or two joined by ``+``."""

from __future__ import annotations

from typing import NamedTuple

from heliostat.errors import did_you_mean
from heliostat_tasks.vmc.wavefunction.heads.determinants import Determinants
from heliostat_tasks.vmc.wavefunction.heads.head import Head
from heliostat_tasks.vmc.wavefunction.heads.orbital_sortlets import OrbitalSortlets
from heliostat_tasks.vmc.wavefunction.heads.products import PRODUCTS
from heliostat_tasks.vmc.wavefunction.heads.shell_sortlets import ShellSortlets

NAMES = ("determinant", *PRODUCTS)
"""Names of heads; any two may be added."""

ALIASES = {"hybrid": "determinant+sortlet"}

EXACT = 2
"""Largest number of electrons of a spin for which sortlets of shells are exact."""


def resolve(head: str, up: int, down: int) -> str:
    """Return the names of heads that a user's word stands for.

    Args:
        head: ``auto``, ``hybrid``, a name, or two names joined by ``+``.
        up: electrons of spin up.
        down: electrons of spin down.

    Raises:
        ValueError: for another word.

    Example:
        >>> resolve("auto", 2, 1), resolve("auto", 5, 2), resolve("hybrid", 5, 2)
        ('sortlet', 'determinant', 'determinant+sortlet')
    """
    if head == "auto":
        return "sortlet" if max(up, down) <= EXACT else "determinant"
    names = ALIASES.get(head, head).split("+")
    for name in names:
        if name not in NAMES:
            choices = ("auto", *ALIASES, *NAMES)
            raise ValueError(
                f"head '{head}'{did_you_mean(name, choices)}; expected one of "
                f"{', '.join(choices)}, or two joined by + (determinant+smooth)"
            )
    if len(names) > 2 or len(set(names)) < len(names):
        raise ValueError(f"head '{head}': expected one name, or two different ones")
    return "+".join(names)


class HeadSizes(NamedTuple):
    """Sizes that the heads of a wavefunction share."""

    charges: tuple[int, ...]
    up: int
    down: int
    features: int
    terms: int
    determinants: int


def make_heads(head: str, sizes: HeadSizes) -> tuple[Head, ...]:
    """Return the heads of resolved names; the first starts with all the weight."""
    names = head.split("+")
    shells = len(names) == 1 and max(sizes.up, sizes.down) <= EXACT
    return tuple(
        _make(name, sizes, shells, weight=1.0 if name == names[0] else 0.0)
        for name in names
    )


def _make(name: str, sizes: HeadSizes, shells: bool, weight: float) -> Head:
    charges, up, down, features, terms, determinants = sizes
    if name == "determinant":
        return Determinants(determinants, features, weight)
    if shells:
        return ShellSortlets(name, terms, up, down, features, charges)
    return OrbitalSortlets(name, terms, up, down, features, weight)
