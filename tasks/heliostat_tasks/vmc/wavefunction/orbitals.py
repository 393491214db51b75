"""Orbitals: sums of Slater-type functions, multiplied by factors of the backbone.

    φ_kj(i) = Σ_f c_kfj χ_f(r_i) · (1 + w_kj·h_i)
    χ_f = N_f p_f(r − R_I) s^m e^{−ζ_f s},      p = 1, x, y, z, xy, …

Without h they are orbitals of one electron in the mean field of the others; h lets them
depend on where the others are (a backflow).  Exponents and coefficients are trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from heliostat_tasks.vmc.wavefunction.electrons import Electrons
from heliostat_tasks.vmc.wavefunction.first_guess import Guess, Params
from heliostat_tasks.vmc.wavefunction.slater import slater_exponents

BACKFLOW = 0.02
"""Standard deviation of w at the start, over √features."""


class SlaterFunction(NamedTuple):
    """One function of the basis, before its exponent is trained."""

    nucleus: int
    power: int  # m of s^m
    angular: tuple[int, ...]  # axes whose coordinates are multiplied: () for s, (0,) …
    exponent: float  # 1/bohr

    @property
    def norm(self) -> float:
        """N, of about unit norm: that of r^(m + l) e^{−ζr}."""
        n = self.power + len(self.angular) + 1
        return (2 * self.exponent) ** (n + 0.5) / factorial(2 * n) ** 0.5


def slater_functions(charges: Sequence[int]) -> tuple[SlaterFunction, ...]:
    """List the functions of all nuclei.

    Each shell of Slater's rules has functions of s type on both sides of its exponent,
    and from the second on of p type, over a range that reaches the nucleus; elements
    from scandium on have d functions.

    Args:
        charges: charges of the nuclei, elementary charges.

    Example:
        >>> functions = slater_functions((3, 1))
        >>> len(functions), functions[0].exponent
        (23, 2.7)
    """
    return tuple(
        SlaterFunction(nucleus, *shape)
        for nucleus, charge in enumerate(charges)
        for shape in _shapes(charge)
    )


def _shapes(charge: int) -> Iterator[tuple[int, tuple[int, ...], float]]:
    """Yield power, angular part and exponent of the functions of one nucleus.

    The factors of the exponents keep the one-electron energy of Hartree-Fock orbitals
    of N, Ne and H2O within 2 mHa once they are fitted.
    """
    first, *shells = slater_exponents(charge)
    for factor in (1.0, 0.7) if shells else (0.8, 1.25):
        yield 0, (), first * factor
    for zeta in shells:
        for factor in (0.8, 1.25):
            yield 0, (), zeta * factor
            yield 1, (), zeta * factor
    for zeta, factors in _p_shells(first, shells):
        for factor in factors:
            yield from ((0, (axis,), zeta * factor) for axis in range(3))
    if charge > 20:
        zeta = (charge - 18 - 0.35 * min(charge - 21, 9)) / 3
        for factor in (0.7, 1.4):
            yield from ((0, pair, zeta * factor) for pair in PAIRS_OF_AXES)


PAIRS_OF_AXES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Angular parts of d type, and one of s type among them."""


def _p_shells(
    first: float, shells: Sequence[float]
) -> Iterator[tuple[float, tuple[float, ...]]]:
    if not shells:  # hydrogen and helium: to polarise
        yield first, (1.0,)
    for depth, zeta in enumerate(shells):
        yield zeta, (0.8, 1.25) if depth else (0.7, 1.1, 1.7, 2.7)


@dataclass(frozen=True)
class Orbitals:
    """Sets of orbitals of both spins, one set for each determinant."""

    charges: tuple[int, ...]
    up: int
    down: int
    features: int
    sets: int = 1

    @cached_property
    def functions(self) -> tuple[SlaterFunction, ...]:
        """Functions that the orbitals are sums of."""
        return slater_functions(self.charges)

    def first_exponents(self, dtype: Any) -> Float[Array, " functions"]:
        """Return log ζ before training."""
        return jnp.asarray(np.log([f.exponent for f in self.functions]), dtype)

    def guess(self, coefficients: Sequence[Float[ArrayLike, "functions _"]]) -> Params:
        """Guess all sets alike; random backflow tells them apart.

        Args:
            coefficients: c of spin up and down, from :func:`projection.project`.
        """
        spread = BACKFLOW * self.features**-0.5
        return {
            "zeta": Guess(self.first_exponents(float)),
            "coefficients": [
                Guess(jnp.repeat(jnp.asarray(c, float)[None], self.sets, axis=0))
                for c in coefficients
            ],
            "backflow": [
                Guess(jnp.zeros((self.sets, self.features, count)), spread)
                for count in (self.up, self.down)
            ],
        }

    def __call__(
        self, params: Params, electrons: Electrons, h: Float[Array, "n features"]
    ) -> tuple[Float[Array, "sets up up"], Float[Array, "sets down down"]]:
        """Compute orbitals j of electrons i, ``(sets, i, j)`` for each spin."""
        values = self.basis(params["zeta"], electrons)
        matrices = [
            jnp.einsum("if,kfj->kij", values[block], params["coefficients"][spin])
            * (1 + jnp.einsum("ih,khj->kij", h[block], params["backflow"][spin]))
            for spin, block in enumerate(electrons.blocks)
        ]
        return matrices[0], matrices[1]

    def basis(
        self, zeta: Float[Array, " functions"], electrons: Electrons
    ) -> Float[Array, "n functions"]:
        """Compute χ_f(r_i); the cusp of the Jastrow factor is apart from it."""
        at = np.array([f.nucleus for f in self.functions])
        norms = np.array([f.norm for f in self.functions])
        s, away = electrons.s[:, at], electrons.away[:, at]
        dtype = s.dtype
        linear = jnp.asarray([f.power == 1 for f in self.functions], dtype)[None]
        angular = jnp.ones_like(s)
        for order in range(max(len(f.angular) for f in self.functions)):
            angular = angular * _coordinates(self.functions, order, away)
        radial = jnp.asarray(norms, dtype)[None] * jnp.exp(-jnp.exp(zeta)[None] * s)
        return radial * (linear * s + 1 - linear) * angular


def _coordinates(
    functions: Sequence[SlaterFunction],
    order: int,
    away: Float[Array, "n functions 3"],
) -> Float[Array, "n functions"]:
    """Select each function's factor of one order: a coordinate, or 1 if it has none."""
    axes = [f.angular[order] if len(f.angular) > order else 3 for f in functions]
    one_hot = np.eye(4)[axes]
    chosen = jnp.asarray(one_hot[:, :3], away.dtype)[None]
    constant = jnp.asarray(one_hot[:, 3], away.dtype)[None]
    return jnp.sum(away * chosen, axis=-1) + constant
