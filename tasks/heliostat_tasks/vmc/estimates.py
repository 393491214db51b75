"""Estimates of a run: energies with error bars, beside those of quantum chemistry."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from heliostat import Estimate
from heliostat.kernels.diagnostics.correlated_mean import (
    CorrelatedMean,
    correlated_mean,
)
from heliostat_tasks.vmc.molecules import Molecule

if TYPE_CHECKING:
    import xarray as xr

FINDS = tuple(
    "energy variance correlation_fraction hf ccsd(t) exact autocorrelation_time".split()
)
"""Names of the estimates; those after the second come once evaluation has begun."""

PROVISIONAL = 100
"""Latest training rows that the energy is averaged over before evaluation."""

REFERENCE_ERROR = 1e-3
"""Error of a Hartree-Fock energy in a basis of the size that is affordable, hartree."""

WELL_ABOVE = 5
"""Errors that a correlation energy must exceed for a fraction of it to mean much."""


def headline(
    rows: xr.Dataset, molecule: Molecule, walkers: int
) -> Mapping[str, Estimate]:
    """Estimate energy, variance and, once evaluation began, the correlation fraction.

    Before evaluation the energy is provisional: the mean of the latest training rows,
    whose parameters still change.

    Args:
        rows: with dim ``step``; ``evaluating`` is 1 where parameters are frozen.
        molecule: for the reference energies.
        walkers: averaged over in every row; they move independently.

    Returns:
        Estimates by name; none without a finite row.
    """
    energies, variances, evaluating = (
        rows[name].values.reshape(-1).astype(np.float64)
        for name in ("energy", "variance", "evaluating")
    )
    frozen = evaluating == 1
    recent = np.arange(len(energies)) >= len(energies) - PROVISIONAL
    # a step without a finite walker has no energy; the row `nonfinite` counts them
    chosen = (frozen if frozen.any() else recent) & np.isfinite(energies)
    if not chosen.any():
        return {}
    energy, variance = _means(energies[chosen], variances[chosen], walkers)
    estimates = {
        "energy": _estimate(energy, "hartree", *molecule.remarks),
        "variance": _estimate(variance, "hartree^2"),
    }
    if not frozen.any():
        return estimates
    time = Estimate(round(energy.tau, 2), units="steps", note=energy.note)
    comparison = _compare_or_warn(estimates["energy"], molecule)
    above = {"energy": warn_above_hf(estimates["energy"], comparison.get("hf"))}
    return estimates | above | comparison | {"autocorrelation_time": time}


def _means(
    energies: np.ndarray, variances: np.ndarray, walkers: int
) -> tuple[CorrelatedMean, CorrelatedMean]:
    """Average energies and variances; one walker has a variance over its steps only."""
    finite = np.isfinite(variances)
    if finite.any():
        variance = correlated_mean(variances[finite])
        return correlated_mean(energies, variance.mean / walkers), variance
    energy = correlated_mean(energies)
    squares = correlated_mean((energies - energy.mean) ** 2)
    # the mean moves along with correlated steps, which hides a part of the variance
    scale = 1 / max(1 - 2 * energy.tau / len(energies), 1 / len(energies))
    scaled = squares._replace(mean=squares.mean * scale, error=squares.error * scale)
    return energy, scaled


def _estimate(mean: CorrelatedMean, units: str, *remarks: str) -> Estimate:
    note = "; ".join(filter(None, (mean.note, *remarks)))
    return Estimate(mean.mean, mean.error, units, note=note)


def _compare_or_warn(energy: Estimate, molecule: Molecule) -> dict[str, Estimate]:
    """Compare with references; a reference that fails must not lose the energy."""
    try:
        return compare_energies(energy, molecule)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        message = f"no references for {molecule.name}: {reason}"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
        return {}


def warn_above_hf(energy: Estimate, hf: Estimate | None) -> Estimate:
    """Return the energy, with a warning if it is 3 sigma above that of Hartree-Fock.

    Example:
        >>> warn_above_hf(Estimate(-2.80, 1e-2), Estimate(-2.86)).warning
        '0.06 hartree above Hartree-Fock: train longer'
    """
    if hf is None or not energy.value - hf.value > 3 * energy.error:
        return energy
    excess = f"{energy.value - hf.value:.2g} hartree above Hartree-Fock"
    return energy._replace(warning=f"{excess}: train longer")


def compare_energies(energy: Estimate, molecule: Molecule) -> dict[str, Estimate]:
    """Return reference energies and the fraction (E − E_HF)/(E_exact − E_HF) reached.

    CCSD(T) replaces an exact energy that is not known, if it can be trusted.  The
    fraction is absent where the correlation energy E_exact − E_HF is not five times
    the errors of both energies.
    """
    from heliostat_tasks.vmc.chemistry.references import references

    known = references(molecule)
    best, hf = known.get("exact", known.get("ccsd(t)")), known.get("hf")
    if best is None or hf is None or best.warning:
        return dict(known)
    depth, errors = abs(best.value - hf.value), (REFERENCE_ERROR, energy.error)
    # a comparison with an unknown error, NaN, is false
    if not all(depth > WELL_ABOVE * error for error in errors):
        return dict(known)
    fraction = Estimate((hf.value - energy.value) / depth, energy.error / depth)
    return {"correlation_fraction": fraction, **known}
