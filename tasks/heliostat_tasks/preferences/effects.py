"""What coefficients mean: how far a feature moves the odds of being preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from heliostat_tasks.preferences.features import TOGETHER

if TYPE_CHECKING:
    import xarray as xr

QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
"""The median, and the ends of the central 50 % and 95 %."""


def probabilities(coefficients: xr.DataArray) -> xr.DataArray:
    """Draws of σ(α): the probability that a response with more of a feature is
    preferred to one with less, all else equal.

    Args:
        coefficients: (…, feature) log-odds.
    """
    import xarray as xr

    return xr.apply_ufunc(expit, coefficients)


def effects(
    coefficients: xr.DataArray,
    together: Mapping[str, Sequence[str]] = TOGETHER,
) -> xr.DataArray:
    """Posterior quantiles of σ(α) per feature, the largest median first.

    Features of which each alone is badly known, since they come together, are told as
    one: σ(α_1 + α_2) is for a response that has more of both.

    Args:
        coefficients: (chain, draw, feature) draws after the warm-up, with the names of
            features as coordinate.
        together: names of sums, and of what is added; those whose features are not all
            there are left out.

    Returns:
        (feature, quantile) probabilities.

    Example:
        >>> import xarray as xr
        >>> names, dims = {"feature": ["polite"]}, ("chain", "draw", "feature")
        >>> alpha = xr.DataArray(np.zeros((2, 5, 1)), names, dims)
        >>> effects(alpha).sel(feature="polite", quantile=0.5).item()
        0.5

    Reference: Sharma et al., arXiv:2310.13548, §4.1 and figure 5.
    """
    told = probabilities(with_sums(coefficients, together))
    found = told.quantile(QUANTILES, ("chain", "draw")).transpose("feature", "quantile")
    return found.isel(feature=np.argsort(-found.sel(quantile=0.5).values))


def with_sums(
    coefficients: xr.DataArray, together: Mapping[str, Sequence[str]] = TOGETHER
) -> xr.DataArray:
    """Sums of features in the place of these features, behind all others."""
    import xarray as xr

    names = coefficients["feature"].values.tolist()
    sums = {name: list(parts) for name, parts in together.items()}
    sums = {name: parts for name, parts in sums.items() if set(parts) <= set(names)}
    kept = [name for name in names if not any(name in p for p in sums.values())]
    added = [
        coefficients.sel(feature=parts).sum("feature").expand_dims({"feature": [name]})
        for name, parts in sums.items()
    ]
    told = xr.concat([coefficients.sel(feature=kept), *added], "feature")
    return told.transpose(*coefficients.dims)
