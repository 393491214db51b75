"""Rates of convergence, fitted to distances from an equilibrium.

Linear play shrinks distances as t^m ρ^t: m = 0 for simple eigenvalues, and m = 1 where
two of the largest modulus coincide, as they do at optimal momentum.  A straight line
through log distances would then be too slow by 1/t.

    log d_t = a + t log ρ + m log t
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped


class RateFit(NamedTuple):
    """Fitted rate of convergence.

    Example:
        >>> RateFit(0.9, 0.01, 0).rate
        0.9
    """

    rate: float  # ρ, factor per step
    error: float  # standard error, from the rates of parts of the series
    power: int  # m


def fit_rate(distances: Float[np.ndarray, " steps"], skip: float = 0.25) -> RateFit:
    """Fit the rate of a series of distances.

    Steps after the first at which a distance is zero, not finite or at rounding are
    left out: convergence has ended there, or play has diverged beyond numbers.

    Args:
        distances: d_t of steps t = 1, 2, …
        skip: share of the series that is left out at the start.

    Returns:
        ρ, its standard error, and m. NaN for fewer than ten usable steps.

    Example:
        >>> fit = fit_rate(0.9 ** np.arange(1, 200))
        >>> round(fit.rate, 6), fit.power
        (0.9, 0)
    """
    d = np.asarray(distances, float)
    largest = np.maximum.accumulate(np.nan_to_num(d, posinf=0.0, neginf=0.0))
    bad = ~np.isfinite(d) | (d <= 1e-13 * largest) | (d > 1e150)
    end = int(np.argmax(bad)) if bad.any() else len(d)
    t = np.arange(1, end + 1)[int(skip * end) :]
    if len(t) < 10:
        return RateFit(np.nan, np.nan, 0)
    logs = np.log(d[t - 1])
    power = int(np.argmin([_line(t, logs - m * np.log(t))[1] for m in (0, 1)]))
    logs = logs - power * np.log(t)
    slope = _line(t, logs)[0]
    parts = [
        _line(*pair)[0]
        for pair in zip(np.array_split(t, 4), np.array_split(logs, 4), strict=True)
        if len(pair[0]) > 2
    ]
    # slopes of quarters vary 8 times as much as that of the whole, cubed length
    error = float(np.std(parts, ddof=1)) / 8 if len(parts) > 1 else np.nan
    return RateFit(float(np.exp(slope)), float(np.exp(slope)) * error, power)


def _line(
    t: Shaped[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """Return the slope of a line by least squares, and the mean squared residual."""
    centred = t - t.mean()
    slope = float(centred @ values / (centred @ centred))
    return slope, float(np.var(values - slope * centred))
