"""Estimates of a run: energies with error bars, beside those of quantum chemistry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.blocking import blocked_mean
from heliostat_tasks.vmc.molecules import Molecule

if TYPE_CHECKING:
    import xarray as xr

FINDS = tuple(
    "energy variance correlation_fraction hf ccsd(t) exact autocorrelation_time".split()
)
"""Names of the estimates; those after the second come once evaluation has begun."""

PROVISIONAL = 100
"""Latest training rows that the energy is averaged over before evaluation."""


def headline(rows: xr.Dataset, molecule: Molecule) -> Mapping[str, Estimate]:
    """Estimate energy, variance and, once evaluation began, the correlation fraction.

    Before evaluation the energy is provisional: the mean of the latest training rows,
    whose parameters still change.

    Args:
        rows: with dim ``step``; ``evaluating`` is 1 where parameters are frozen.
        molecule: for the reference energies.

    Returns:
        Estimates by name; none without a finite row.
    """
    energies, variances, evaluating = (
        rows[name].values.reshape(-1) for name in ("energy", "variance", "evaluating")
    )
    frozen = evaluating == 1
    recent = np.arange(len(energies)) >= len(energies) - PROVISIONAL
    # a step without a finite walker has no energy; the row `nonfinite` counts them
    finite = np.isfinite(energies) & np.isfinite(variances)
    chosen = (frozen if frozen.any() else recent) & finite
    if not chosen.any():
        return {}
    energy, variance = blocked_mean(energies[chosen]), blocked_mean(variances[chosen])
    estimates = {
        "energy": Estimate(
            energy.mean, energy.error, "hartree", note="; ".join(molecule.remarks)
        ),
        "variance": Estimate(variance.mean, variance.error, "hartree^2"),
    }
    if not frozen.any():
        return estimates
    time = Estimate(round(energy.tau, 2), units="steps")
    comparison = compare_energies(estimates["energy"], molecule)
    return estimates | comparison | {"autocorrelation_time": time}


def compare_energies(energy: Estimate, molecule: Molecule) -> dict[str, Estimate]:
    """Return reference energies and the fraction (E − E_HF)/(E_exact − E_HF) reached.

    CCSD(T) replaces an exact energy that is not known.
    """
    from heliostat_tasks.vmc.chemistry.references import references

    known = references(molecule)
    best = known.get("exact", known.get("ccsd(t)"))
    if best is None or "hf" not in known:
        return dict(known)
    if molecule.electrons < 2:  # nothing to correlate
        return dict(known)
    depth = best.value - known["hf"].value
    fraction = Estimate(
        (energy.value - known["hf"].value) / depth, energy.error / abs(depth)
    )
    return {"correlation_fraction": fraction, **known}
