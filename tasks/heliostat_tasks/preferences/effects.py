"""Effects of features: the probability that more of a feature is preferred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from heliostat_tasks.preferences.features import SUMS

if TYPE_CHECKING:
    import xarray as xr

QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)
"""The median, and the ends of the central 50 % and 95 %."""


def probabilities(coefficients: xr.DataArray) -> xr.DataArray:
    """Compute σ(α), the probability that a response with more of a feature is preferred
    to one with less, all else equal.

    Args:
        coefficients: (…, feature) log-odds.

    Returns:
        (…, feature) probabilities.
    """
    import xarray as xr

    return xr.apply_ufunc(expit, coefficients)


def effects(
    coefficients: xr.DataArray,
    sums: Mapping[str, Sequence[str]] = SUMS,
) -> xr.DataArray:
    """Compute posterior quantiles of σ(α) per feature, sorted by the median.

    Features that often come together are poorly determined one by one, so they are
    reported as one: σ(α_1 + α_2) is for a response that has more of both.

    Args:
        coefficients: (chain, draw, feature) draws after the warm-up, with the names of
            features as coordinate.
        sums: features to add, by the name of their sum; a sum is left out unless all
            its features are present.

    Returns:
        (feature, quantile) probabilities, the largest median first.

    Example:
        >>> import xarray as xr
        >>> names, dims = {"feature": ["polite"]}, ("chain", "draw", "feature")
        >>> alpha = xr.DataArray(np.zeros((2, 5, 1)), names, dims)
        >>> effects(alpha).sel(feature="polite", quantile=0.5).item()
        0.5

    Reference: Sharma et al., arXiv:2310.13548, §4.1 and figure 5.
    """
    draws = probabilities(with_sums(coefficients, sums))
    quantiles = draws.quantile(QUANTILES, ("chain", "draw"))
    order = np.argsort(-quantiles.sel(quantile=0.5).values)
    return quantiles.transpose("feature", "quantile").isel(feature=order)


def with_sums(
    coefficients: xr.DataArray, sums: Mapping[str, Sequence[str]] = SUMS
) -> xr.DataArray:
    """Replace the features of each sum by that sum, after all other features."""
    import xarray as xr

    names = coefficients["feature"].values.tolist()
    parts = {name: list(features) for name, features in sums.items()}
    parts = {name: p for name, p in parts.items() if set(p) <= set(names)}
    single = [name for name in names if not any(name in p for p in parts.values())]
    added = [
        coefficients.sel(feature=p).sum("feature").expand_dims({"feature": [name]})
        for name, p in parts.items()
    ]
    joined = xr.concat([coefficients.sel(feature=single), *added], "feature")
    return joined.transpose(*coefficients.dims)
