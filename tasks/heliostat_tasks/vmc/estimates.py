"""What a run found: energies with honest errors, beside those of quantum chemistry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat_tasks.vmc.molecule import Molecule

if TYPE_CHECKING:
    import xarray as xr

PROVISIONAL = 100
"""Training rows that the energy shown before evaluation is a mean of."""


def headline(rows: xr.Dataset, molecule: Molecule) -> Mapping[str, Estimate]:
    """Energy and variance; once evaluation began, also what part of the correlation.

    Args:
        rows: with dim ``step``; ``evaluating`` tells the phases apart.
        molecule: for the reference energies.
    """
    evaluating = rows["evaluating"].values.reshape(-1) == 1
    done = bool(evaluating.any())
    kept = evaluating if done else np.arange(len(evaluating)) >= len(evaluating) - PROVISIONAL
    energies = rows["energy"].values.reshape(-1)[kept].astype(float)
    variances = rows["variance"].values.reshape(-1)[kept].astype(float)
    if not len(energies):
        return {}
    found = _mean(energies, "hartree", "this run" if done else "training, provisional")
    variance = _mean(variances, "hartree^2", found.source)
    if not done:
        return {"energy": found, "variance": variance}
    return {"energy": found, "variance": variance} | compared(found, molecule)


def compared(energy: Estimate, molecule: Molecule) -> dict[str, Estimate]:
    """Reference energies, and the fraction (E − E_HF)/(E_exact − E_HF) reached.

    CCSD(T) stands in where the exact energy is not known; the source says which.
    """
    from heliostat_tasks.vmc.references import references

    known = references(molecule)
    best = known.get("exact", known.get("ccsd(t)"))
    if best is None or "hf" not in known:
        return dict(known)
    depth = best.value - known["hf"].value
    if abs(depth) < 1e-6:  # one electron: nothing to correlate
        return dict(known)
    fraction = Estimate(
        (energy.value - known["hf"].value) / depth,
        energy.error / abs(depth),
        "1",
        f"this run against {best.source}",
    )
    return {"correlation_fraction": fraction, **known}


def _mean(series: np.ndarray, units: str, source: str) -> Estimate:
    from heliostat.kernels.blocking import blocked

    if len(series) < 2:
        return Estimate(float(series.mean()), float("nan"), units, source)
    result = blocked(series)
    return Estimate(float(result.mean), float(result.error), units, source)
