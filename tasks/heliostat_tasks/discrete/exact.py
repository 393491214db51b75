"""Exact energies of targets that have one, as references for runs.

Kaufman's partition function of the finite torus, with K > 0 per edge on n × m sites:

    Z = ½ (2 sinh 2K)^{nm/2} (Y₁ + Y₂ + Y₃ + Y₄)
    Y₁ = Π_r 2 cosh(½ m γ_{2r+1}),  Y₂ = Π_r 2 sinh(½ m γ_{2r+1}),
    Y₃ = Π_r 2 cosh(½ m γ_{2r}),    Y₄ = Π_r 2 sinh(½ m γ_{2r}),      r = 0 … n − 1
    cosh γ_l = cosh 2K coth 2K − cos(π l / n),    γ₀ = 2K + log tanh K  (signed)

Reference: Kaufman, Phys. Rev. 76, 1232 (1949), eqs. 39, 43 and 45.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from heliostat import Estimate

COLDEST = 100.0
"""Largest K for which the energy is computed; long before, it is −2 to all digits."""


def torus_log_z(side: int, coupling: float) -> float:
    """Compute log Z of the Ising model on a periodic lattice, with K > 0 and no field.

    Example:
        >>> round(torus_log_z(4, 0.2), 6)
        11.77147
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
    log_scale = n * n / 2 * math.log(2 * math.sinh(2 * k))
    return float(math.log(total / 2) + top + log_scale)


def torus_energy(side: int, coupling: float, delta: float = 1e-4) -> float:
    """Compute the energy per site in units of J, by a five-point difference.

    It is −∂ log Z/∂K / N.

    Example:
        >>> round(torus_energy(8, 0.4), 6)
        -1.222321
    """
    delta = min(delta, coupling / 4)
    f = [torus_log_z(side, coupling + i * delta) for i in (-2, -1, 1, 2)]
    return -(f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * delta) / side**2


def references(target: str, fields: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return the exact energy per site of a target, if it is known.

    Args:
        target: its name.
        fields: fields of the task, by name; its field as a number or an array.
    """
    size, coupling, field = (fields[name] for name in ("size", "coupling", "field"))
    lattice = target == "ising" and fields["couplings"] is None
    if lattice and not np.any(field) and 0 < coupling <= COLDEST:
        return _exact(torus_energy(size, coupling), "Kaufman (1949), finite torus")
    if target == "independent":
        values = fields["values"] or 2
        each = [independent_energy(float(h), values) for h in np.ravel(field)]
        return _exact(sum(each) / len(each), "closed form")
    if target == "curie-weiss":
        return _exact(curie_weiss_energy(size, coupling), "sum over M")
    return {}


def independent_energy(field: float, values: int) -> float:
    """Compute −⟨h x⟩ of one site with log p = h x over x = 0, 1, …, values − 1.

    Example:
        >>> round(independent_energy(np.log(3), 2), 6)  # p = 3/4
        -0.823959
    """
    k = np.arange(values)
    p = np.exp(field * k - np.logaddexp.reduce(field * k))
    return 0.0 - float(field * k @ p)


def curie_weiss_energy(sites: int, coupling: float) -> float:
    """Compute −⟨log p⟩ / N for log p = K M² / N, as a sum over all magnetisations M."""
    k = np.arange(sites + 1)
    logs = np.array([-math.lgamma(i + 1) - math.lgamma(sites - i + 1) for i in k])
    logp = coupling * (2 * k - sites) ** 2 / sites
    logs += logp
    p = np.exp(logs - np.logaddexp.reduce(logs))
    return -float(p @ logp) / sites


def _exact(value: float, source: str) -> dict[str, Estimate]:
    return {"exact": Estimate(value, units="1/site", source=source)}
