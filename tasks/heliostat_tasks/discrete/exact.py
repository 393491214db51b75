"""Exact energies, where there are any: what a run is compared with.

The finite torus is Kaufman's: with K > 0 per edge on n × m sites,

    Z = ½ (2 sinh 2K)^{nm/2} (Y₁ + Y₂ + Y₃ + Y₄)
    Y₁ = Π_r 2 cosh(½ m γ_{2r+1}),  Y₂ = Π_r 2 sinh(½ m γ_{2r+1}),
    Y₃ = Π_r 2 cosh(½ m γ_{2r}),    Y₄ = Π_r 2 sinh(½ m γ_{2r}),      r = 0 … n − 1
    cosh γ_l = cosh 2K coth 2K − cos(π l / n),    γ₀ = 2K + log tanh K  (signed)

Reference: Kaufman, Phys. Rev. 76, 1232 (1949), eqs. 39, 43 and 45.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate

if TYPE_CHECKING:
    from heliostat_tasks.discrete.task import Discrete


COLDEST = 100.0
"""The largest K for which the energy is computed: far below, it is −2 to all digits."""


def torus_log_z(side: int, coupling: float) -> float:
    """log Z of the Ising model on a periodic lattice, K > 0, no field.

    Example:
        >>> round(torus_log_z(4, 0.2), 10)
        11.7714703585
    """
    k, n = coupling, side
    l = np.arange(2 * n)
    cosh = math.cosh(2 * k) / math.tanh(2 * k) - np.cos(math.pi * l / n)
    gamma = np.arccosh(np.maximum(cosh, 1.0))
    gamma[0] = 2 * k + math.log(math.tanh(k))  # signed: Y₄ changes sign at K_c
    half = n * gamma / 2
    log_cosh = np.logaddexp(half, -half)
    size = np.abs(half)
    log_sinh = size + np.log(-np.expm1(-2 * np.maximum(size, 1e-300)))
    logs = [t[which::2].sum() for which in (1, 0) for t in (log_cosh, log_sinh)]
    signs = np.array([1.0, 1.0, 1.0, np.sign(gamma[0])])
    top = max(logs)
    total = float(np.sum(signs * np.exp(np.array(logs) - top)))
    return math.log(total / 2) + top + n * n / 2 * math.log(2 * math.sinh(2 * k))


def torus_energy(side: int, coupling: float, by: float = 1e-4) -> float:
    """Energy per site in units of J: −∂ log Z/∂K / N, by a five-point difference.

    Example:
        >>> round(torus_energy(8, 0.4), 6)
        -1.222321
    """
    by = min(by, coupling / 4)
    f = [torus_log_z(side, coupling + i * by) for i in (-2, -1, 1, 2)]
    return -(f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * by) / side**2


def references(task: Discrete) -> dict[str, Estimate]:
    """The exact energy per site of a task's target, if it is known."""
    lattice = task.target == "ising" and task.couplings is None
    if lattice and not task.field and 0 < task.coupling <= COLDEST:
        value = torus_energy(task.size, task.coupling)
        return _exact(value, "Kaufman (1949), finite torus")
    if task.target == "independent":
        k = np.arange(task.values or 2)
        chances = np.exp(task.field * k - np.logaddexp.reduce(task.field * k))
        return _exact(0.0 - float(task.field * k @ chances), "closed form")
    if task.target == "curie-weiss":
        return _exact(curie_weiss_energy(task.size, task.coupling), "sum over M")
    return {}


def curie_weiss_energy(sites: int, coupling: float) -> float:
    """−⟨log p⟩ / N of K M² / N, summed over all magnetisations."""
    k = np.arange(sites + 1)
    logs = np.array([-math.lgamma(i + 1) - math.lgamma(sites - i + 1) for i in k])
    heat = coupling * (2 * k - sites) ** 2 / sites
    logs += heat
    chances = np.exp(logs - np.logaddexp.reduce(logs))
    return -float(chances @ heat) / sites


def _exact(value: float, source: str) -> dict[str, Estimate]:
    return {"exact": Estimate(value, units="1/site", source=source)}
