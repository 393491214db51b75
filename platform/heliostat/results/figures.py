"""Figures on given axes: rows over steps, ranks of chains, marginal distributions.

Reference: rank plots are Vehtari et al., Bayesian Anal. 16, 667 (2021); differences of
distribution functions are Säilynoja, Bürkner and Vehtari, Stat. Comput. 32, 32 (2022).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heliostat.errors import RequestError
from heliostat.kernels.diagnostics.convergence import ess_bulk
from heliostat.results.output import write_output

Array = NDArray[np.float64]

LINES = 24
"""Replicas drawn one by one; more are drawn as the median and the central 90 %."""

ROWS = 8
"""Chains with a histogram each; more are drawn as differences."""

LINE_HEIGHT = 13
"""Points between two lines of warnings."""

EXPECTED = {"color": "k", "lw": 1, "ls": "--"}
BAND = {"color": "k", "alpha": 0.12, "lw": 0}

LEVELS = 60
"""Whole numbers with a bar each; a wider range is binned."""


def save_figure(figure: Any, output: str | Path, dpi: float = 150) -> Path:
    """Write a matplotlib figure to a file; the ending of its name gives the format.

    Raises:
        RequestError: if the file cannot be written, or no format has this ending.
    """
    picture = io.BytesIO()
    try:
        figure.savefig(picture, format=Path(output).suffix[1:] or "png", dpi=dpi)
    except ValueError as error:
        raise RequestError(f"{output} cannot be written: {error}") from error
    return write_output(output, picture.getvalue())


def title(axes: Any, text: str, warnings: Sequence[str] = ()) -> None:
    """Write a title, and below it a red line for each warning about the run."""
    axes.set_title(text, fontsize="medium", pad=8 + LINE_HEIGHT * len(warnings))
    place: dict[str, Any] = {"xy": (0.5, 1), "xycoords": "axes fraction"}
    style: dict[str, Any] = {"color": "C3", "ha": "center", "fontsize": "small"}
    for line, warning in enumerate(reversed(warnings)):
        offset = {"xytext": (0, 5 + LINE_HEIGHT * line), "textcoords": "offset points"}
        axes.annotate(f"WARNING: {warning}", **place, **style, **offset)


def trace(axes: Any, steps: Array, lines: Array) -> None:
    """Draw lines ``(steps, lines)`` over steps; more than ``LINES`` become a band."""
    if lines.shape[1] > LINES:
        low, middle, high = np.nanpercentile(lines, [5, 50, 95], axis=1)
        label = f"90 % of {lines.shape[1]}"
        axes.fill_between(steps, low, high, alpha=0.3, label=label)
        axes.plot(steps, middle, lw=1, label="median")
    else:
        axes.plot(steps, lines, lw=0.8, alpha=1 / (1 + 0.05 * lines.shape[1]))
    axes.set_ylim(*_limits(lines))


def rank(axes: Any, x: Array, names: Sequence[Any], chain: str) -> None:
    """Draw the ranks of each chain's draws, ``(chain, draw)``, among all draws.

    Where chains agree, every rank is equally likely in each.  Ties are broken at random
    by a fixed seed, because bits and counts would pile up on few ranks otherwise.
    """
    size = _own_size(x)
    shares = _fractional_ranks(x)
    if len(x) <= ROWS:
        _histograms(axes, shares, size, names)
        axes.set_ylabel(chain)
    else:
        _differences(axes, shares, size, [f"{chain} {name}" for name in names])
        axes.set_ylabel("share of draws below − expected")
    axes.set_xlabel(f"fractional rank among all {chain}s")
    axes.set_xlim(0, 1)


def marginal(axes: Any, x: Array, chain: str) -> None:
    """Draw the distribution of all draws ``(chain, draw)`` and of single chains."""
    finite = x[np.isfinite(x)]
    edges = _edges(finite)
    whole, chains = _density(finite, edges), [_density(y, edges) for y in x]
    label = f"all {len(x)} {chain}s" if len(x) > 1 else "all draws"
    axes.stairs(whole, edges, fill=True, color="C0", alpha=0.35, label=label)
    if len(x) > ROWS:
        low, high = np.percentile(chains, [5, 95], axis=0)
        band = {"color": "C1", "alpha": 0.25, "label": f"90 % of {chain}s"}
        axes.stairs(high, edges, baseline=low, fill=True, **band)
    elif len(x) > 1:
        for density in chains:
            axes.stairs(density, edges, color="C0", lw=0.8, alpha=0.6)
    axes.stairs(whole, edges, color="C0", lw=1.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("probability" if np.all(np.diff(edges) == 1) else "density")


def _limits(lines: Array) -> tuple[float | None, float | None]:
    """Return limits that leave out the steep beginning, which flattens the rest."""
    late = lines[lines.shape[0] // 10 :]
    late = late[np.isfinite(late)]
    if not late.size or late.min() == late.max():
        return None, None
    low, high = np.percentile(late, [0.1, 99.5])
    room = 0.08 * max(high - low, 1e-12)
    return low - room, high + room


def _fractional_ranks(x: Array) -> Array:
    """Return (rank − ½)/S of each draw among all S draws."""
    ties = np.random.default_rng(0).random(x.size)
    shares = np.empty(x.size)
    shares[np.lexsort((ties, x.ravel()))] = (np.arange(x.size) + 0.5) / x.size
    return shares.reshape(x.shape)


def _own_size(x: Array) -> float:
    """Return the effective sample size of a typical chain; NaN if all are constant.

    Each chain is judged alone: chains that disagree must not widen the band that they
    are compared with.
    """
    sizes = np.minimum(ess_bulk(x.T[None]), x.shape[1])
    finite = sizes[np.isfinite(sizes)]
    return float(np.median(finite)) if finite.size else float("nan")


def _histograms(axes: Any, shares: Array, size: float, names: Sequence[Any]) -> None:
    """Draw histograms one above the other, with the level of uniform ranks."""
    chains, draws = shares.shape
    bins = int(np.clip(np.nan_to_num(size) // 8, 5, 20))
    edges = np.linspace(0, 1, bins + 1)
    heights = np.array([np.histogram(u, edges)[0] * bins / draws for u in shares])
    sigma = np.sqrt((bins - 1) * (1 - 1 / chains) / size)  # multinomial, against all
    scale = 0.9 / max(2.0, heights.max())
    bases = np.arange(chains)[::-1]
    for base, height in zip(bases, heights, strict=True):
        y = base + scale * height
        axes.stairs(y, edges, baseline=base, fill=True, color="C0", alpha=0.5)
        low, high = base + scale * max(0, 1 - sigma), base + scale * (1 + sigma)
        if np.isfinite(sigma):
            axes.fill_between([0, 1], low, min(high, base + 0.9), **BAND)
        axes.axhline(base + scale, **EXPECTED)
    axes.set_yticks(bases + scale, [str(name) for name in names])
    axes.set_ylim(-0.05, chains)
    _legend(axes, "one σ", size)


def _differences(axes: Any, shares: Array, size: float, names: Sequence[str]) -> None:
    """Draw distribution functions of ranks less the uniform one; name the farthest."""
    from scipy.special import kolmogi

    chains = len(shares)
    grid, lines = _distribution(shares)
    if chains > LINES:
        low, high = np.percentile(lines, [5, 95], axis=0)
        axes.fill_between(grid, low, high, alpha=0.3, label=f"90 % of {chains}")
    else:
        axes.plot(grid, lines.T, color="C0", lw=0.8, alpha=0.5)
    for index, far in enumerate(np.argsort(-np.abs(lines).max(axis=1))[:3]):
        axes.plot(grid, lines[far], lw=1, color=f"C{index + 1}", label=names[far])
    # Kolmogorov's law, of each chain against all, and 5 % for all chains together
    width = kolmogi(0.05 / chains) * np.sqrt((1 - 1 / chains) / size)
    if np.isfinite(width):
        axes.fill_between([0, 1], -width, width, zorder=0, **BAND)
    axes.axhline(0, **EXPECTED)
    _legend(axes, "95 %", size)


def _distribution(shares: Array, cells: int = 100) -> tuple[Array, Array]:
    """Return the grid k/cells, and each chain's share of draws below it, less it."""
    chains, draws = shares.shape
    cell = np.minimum((shares * cells).astype(np.intp), cells - 1)
    cell += cells * np.arange(chains)[:, None]
    counts = np.bincount(cell.ravel(), minlength=chains * cells).reshape(chains, cells)
    below = np.cumsum(counts, axis=1) / draws
    grid = np.linspace(0, 1, cells + 1)
    return grid, np.concatenate([np.zeros((chains, 1)), below], axis=1) - grid


def _legend(axes: Any, band: str, size: float) -> None:
    axes.plot([], [], label="uniform", **EXPECTED)
    if np.isfinite(size):
        label = f"{band} if alike ({size:.2g} independent draws each)"
        axes.fill_between([], [], [], label=label, **BAND)


def _edges(x: Array) -> Array:
    """Return a bin for each of a few whole numbers, else bins without the far tails."""
    if not x.size:
        return np.linspace(0, 1, 2)
    low, high = x.min(), x.max()
    if high - low < LEVELS and (x == np.round(x)).all():
        return np.arange(low - 0.5, high + 1)
    low, high = np.percentile(x, [0.05, 99.95])
    room = 0.02 * (high - low) or 0.5
    bins = int(np.clip(2 * x.size ** (1 / 3), 10, 80))
    return np.linspace(low - room, high + room, bins + 1)


def _density(x: Array, edges: Array) -> Array:
    """Return the share of draws per unit; draws beyond the edges count too."""
    x = x[np.isfinite(x)]
    return np.histogram(x, edges)[0] / (max(len(x), 1) * np.diff(edges))
