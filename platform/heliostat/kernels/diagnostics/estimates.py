"""R̂ and ESS as estimates of a headline: the worst statistic, its name, a warning.

The limits are those of ArviZ and Stan: R̂ below 1.01, and 100 effective draws of each
chain.

Reference: Vehtari, Gelman, Simpson, Carpenter and Bürkner, Bayesian Anal. 16, 667
(2021), §4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from heliostat.answer import Estimate
from heliostat.kernels.diagnostics.batches import Values

RHAT_LIMIT = 1.01
"""R̂ above this gives a warning."""

ESS_LIMIT = 100
"""Effective draws of each chain, below which there is a warning."""


def rhat_estimate(rhats: Mapping[str, Values | float], doubt: str = "") -> Estimate:
    """Return the largest R̂, with the name of its statistic.

    Args:
        rhats: R̂ of statistics, a number or an array for each name; NaN does not count.
        doubt: reason why a small R̂ proves nothing: then it is unknown.

    Returns:
        R̂ with its statistic as ``note``; with a ``warning`` above 1.01.

    Example:
        >>> worst = rhat_estimate({"energy": 1.001, "site": np.array([1.2, np.nan])})
        >>> worst.value, worst.note
        (1.2, 'site[0], worst of 2')
        >>> worst.warning
        'above 1.01: chains differ, or are too short'
    """
    value, name, count = _extreme(rhats, np.nanargmax)
    if value > RHAT_LIMIT:
        warning = f"above {RHAT_LIMIT}: chains differ, or are too short"
    elif doubt:
        value, warning = np.nan, doubt
    else:
        warning = ""
    note = f"{name}, worst of {count}" if count > 1 else name
    return Estimate(value, note=note, warning=warning)


def ess_estimate(
    sizes: Mapping[str, Values | float], groups: int, kind: str = "chains"
) -> Estimate:
    """Return the least effective sample size, with the name of its statistic.

    Args:
        sizes: ESS of statistics in draws, a number or an array for each name; NaN does
            not count.
        groups: number of chains, or of groups of chains that share a start.
        kind: name of the groups.

    Returns:
        ESS with its statistic as ``note``; with a ``warning`` below 100 for each group.

    Example:
        >>> least = ess_estimate({"energy": 900.0, "lp": 350.0}, groups=4)
        >>> str(least), least.note, least.warning
        ('350 draws', 'lp, least of 2', 'below 400: 100 for each of 4 chains')
    """
    value, name, count = _extreme(sizes, np.nanargmin)
    least = ESS_LIMIT * groups
    low = f"below {least}: {ESS_LIMIT} for each of {groups} {kind}"
    note = f"{name}, least of {count}" if count > 1 else name
    return Estimate(
        value, units="draws", note=note, warning=low if value < least else ""
    )


def _extreme(
    values: Mapping[str, Values | float], place: Callable[..., Any]
) -> tuple[float, str, int]:
    """Return the extreme number, its name, and how many there are; NaN without any."""
    arrays = {name: np.asarray(value, float) for name, value in values.items()}
    arrays = {n: a for n, a in arrays.items() if not np.isnan(a).all()}
    if not arrays:
        return float("nan"), "", 0
    extremes = {name: array.ravel()[place(array)] for name, array in arrays.items()}
    name = list(extremes)[int(place(list(extremes.values())))]
    index = np.unravel_index(int(place(arrays[name])), arrays[name].shape)
    count = sum(int(np.sum(~np.isnan(array))) for array in arrays.values())
    entry = f"[{', '.join(map(str, index))}]" if len(index) else ""
    return float(extremes[name]), name + entry, count
