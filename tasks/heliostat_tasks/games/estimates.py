"""Headline of a run: the rate of convergence, beside that of theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from heliostat import Estimate
from heliostat.kernels.games.rates import fit_rate
from heliostat_tasks.games.problems.problem import Game
from heliostat_tasks.games.theory import SOURCE

if TYPE_CHECKING:
    import xarray as xr

CLOSE = 1e-3
"""Distance from the equilibrium at which rounds are counted."""


def names(problem: Game) -> tuple[str, ...]:
    """Return the names of all estimates that a headline may have."""
    known = ("rate", "theory", "distance", "rounds") if problem.has_equilibrium else ()
    return (*known, "gradient_norm", "diverged", *problem.evaluates)


def headline(rows: xr.Dataset, problem: Game, theory: float) -> Mapping[str, Estimate]:
    """Estimate the rate of convergence, and how far play has come.

    Args:
        rows: rows of the run so far, with dims ``start`` and ``step``.
        problem: the game.
        theory: rate of the linear game at the equilibrium; NaN if there is none.

    Returns:
        Estimates by name.
    """
    if not rows.sizes.get("step"):
        return {}
    table = {n: np.atleast_2d(rows[n].values) for n in rows if rows[n].ndim <= 2}
    lost = table["diverged"]
    warning = _warning(lost)
    result: dict[str, Estimate] = {}
    if problem.has_equilibrium:
        result |= _convergence(table["distance"], lost, theory, warning)
    last = {n: table[n][:, -1] for n in ("gradient_norm", *problem.evaluates)}
    result |= {name: over_starts(values) for name, values in last.items()}
    return result | {"diverged": Estimate(float(lost[:, -1].mean()), warning=warning)}


def _convergence(
    distances: Float[np.ndarray, "starts steps"],
    lost: Int[np.ndarray, "starts steps"],
    theory: float,
    warning: str,
) -> dict[str, Estimate]:
    """Fit rates of every start up to where it diverged, and count rounds."""
    ends = [int(np.argmax(row)) if row.any() else len(row) for row in lost]
    fits = [fit_rate(d[:end]) for d, end in zip(distances, ends, strict=True)]
    rate = over_starts(np.array([fit.rate for fit in fits]))
    if len(fits) == 1:
        rate = rate._replace(error=fits[0].error)
    rounds = [
        int(np.argmax(d < CLOSE)) + 1 if (d < CLOSE).any() else np.nan
        for d in distances
    ]
    result = {
        "rate": rate._replace(note="per round", warning=warning),
        "theory": Estimate(theory, source=SOURCE),
        "distance": over_starts(distances[:, -1]),
        "rounds": over_starts(np.array(rounds))._replace(note=f"to distance {CLOSE:g}"),
    }
    return {name: e for name, e in result.items() if np.isfinite(e.value)}


def _warning(lost: Int[np.ndarray, "starts steps"]) -> str:
    """Say when play diverged, if it did."""
    if not lost[:, -1].any():
        return ""
    first = min(int(np.argmax(row)) + 1 for row in lost if row.any())
    return (
        f"{int(lost[:, -1].sum())} of {len(lost)} diverged, the first at round {first}"
    )


def over_starts(values: Float[np.ndarray, " starts"]) -> Estimate:
    """Return the mean of independent starts; its error is NaN for a single one.

    Example:
        >>> str(over_starts(np.array([1.0, 2.0, 3.0])))
        '2.00(58)'
    """
    n = len(values)
    error = float(np.std(values, ddof=1)) / n**0.5 if n > 1 else float("nan")
    return Estimate(float(np.mean(values)), error)
