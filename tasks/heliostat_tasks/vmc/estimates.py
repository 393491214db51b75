"""What a run found: energies with honest errors, beside those of quantum chemistry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.blocking import blocked_mean
from heliostat_tasks.vmc.molecule import Molecule

if TYPE_CHECKING:
    import xarray as xr

PROVISIONAL = 100
"""Training rows that the energy shown before evaluation is a mean of."""


def headline(rows: xr.Dataset, molecule: Molecule) -> Mapping[str, Estimate]:
    """Energy and variance; once evaluation began, also what part of the correlation.

    Before that the energy is a provisional one, of the latest training rows, whose
    parameters still move.

    Args:
        rows: with dim ``step``; ``evaluating`` tells the phases apart.
        molecule: for the reference energies.
    """
    energies, variances, evaluating = (
        rows[name].values.reshape(-1) for name in ("energy", "variance", "evaluating")
    )
    done = bool((evaluating == 1).any())
    recent = np.arange(len(energies)) >= len(energies) - PROVISIONAL
    # a step without one finite walker has no energy; the row nonfinite tells of it
    kept = (evaluating == 1) if done else recent
    kept &= np.isfinite(energies) & np.isfinite(variances)
    if not kept.any():
        return {}
    energy = blocked_mean(energies[kept])
    variance = blocked_mean(variances[kept])
    found = {
        "energy": Estimate(energy.mean, energy.error, "hartree"),
        "variance": Estimate(variance.mean, variance.error, "hartree^2"),
    }
    if not done:
        return found
    memory = Estimate(round(energy.tau, 2), units="steps")
    return (
        found | compared(found["energy"], molecule) | {"autocorrelation_time": memory}
    )


def compared(energy: Estimate, molecule: Molecule) -> dict[str, Estimate]:
    """Reference energies, and the fraction (E − E_HF)/(E_exact − E_HF) reached.

    CCSD(T) stands in for an exact energy that is not known.
    """
    from heliostat_tasks.vmc.references import references

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
