"""Many statistics of many chains, a batch at a time, so that work arrays stay small.

``(chain, draw, …)`` arrays keep draws apart in memory; a diagnostic needs the draws of
one statistic together.  Statistics are regrouped in batches of bounded size and in
float64, of any type and number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped
from numpy.typing import ArrayLike

Draws = Float64[np.ndarray, "statistic chain draw"]
"""A batch of statistics, finite, contiguous by draw."""

Values = Float64[np.ndarray, "..."] | Float64[np.generic, ""]
"""One number per statistic: an array, or a NumPy scalar of one statistic."""

Statistic = Callable[[np.ndarray], Any]
"""``(statistic, chain, draw)`` -> ``(statistic,)``, or several of them stacked."""

MIN_DRAWS = 4
"""At least this many draws: two in each half of a chain."""

BATCH_DRAWS = 500_000
"""Draws in one batch, if one statistic has no more: work arrays of 4 MB each."""


def as_draws(draws: ArrayLike) -> Shaped[np.ndarray, "chain draw ..."]:
    """Return draws as an array ``(chain, draw, …)`` of their own type.

    Args:
        draws: ``(chain, draw, …)`` real numbers or booleans.

    Returns:
        The same numbers.

    Raises:
        ValueError: for fewer than two axes, no entries, or entries of other types.

    Example:
        >>> as_draws([[True, False]]).shape
        (1, 2)
        >>> as_draws([1.0, 2.0])
        Traceback (most recent call last):
        ValueError: expected draws of shape (chain, draw, …), got (2,)
    """
    x = np.asarray(draws)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"expected draws of shape (chain, draw, …), got {x.shape}")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"expected real numbers, got draws of type {x.dtype}")
    return x


def map_statistics(
    kernel: Statistic,
    x: Shaped[np.ndarray, "chain draw ..."],
    min_draws: int = MIN_DRAWS,
) -> Any:
    """Apply a kernel over all trailing axes of ``(chain, draw, …)``.

    The result is NaN for statistics that are not finite everywhere, or have too few
    draws.  Warnings of 0/0 are not given: NaN is the answer.

    Args:
        kernel: function of finite ``(statistic, chain, draw)`` batches in float64, with
            any number of statistics at once.
        x: draws, of :func:`as_draws`.
        min_draws: fewest draws per chain that the kernel needs.

    Returns:
        ``(…)``, or ``(k, …)`` of a kernel that stacks k numbers; a scalar where there
        is one statistic.

    Example:
        >>> x = np.arange(24.0).reshape(2, 4, 3)
        >>> map_statistics(lambda batch: batch.mean(axis=(1, 2)), x)
        array([10.5, 11.5, 12.5])
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = [_apply_finite(kernel, b, min_draws) for b in _batches(x)]
    whole = np.concatenate(parts, axis=-1)
    return whole.reshape(whole.shape[:-1] + x.shape[2:])[()]


def _batches(x: Shaped[np.ndarray, "chain draw ..."]) -> Iterator[Draws]:
    """Yield contiguous ``(statistic, chain, draw)`` pieces."""
    chains, draws = x.shape[:2]
    flat = x.reshape(chains, draws, -1)
    step = max(1, BATCH_DRAWS // (chains * draws))
    for start in range(0, flat.shape[2], step):
        batch = np.moveaxis(flat[:, :, start : start + step], 2, 0)
        yield np.ascontiguousarray(batch, dtype=np.float64)


def _apply_finite(
    kernel: Statistic, batch: Draws, min_draws: int
) -> Float64[np.ndarray, "..."]:
    """Apply a kernel; where it is undefined, give it zeros and return NaN."""
    missing = max(0, min_draws - batch.shape[2])
    finite = np.asarray(np.isfinite(batch).all(axis=(1, 2)) & (not missing))
    if not finite.all():
        batch = np.where(finite[:, None, None], batch, 0)
        batch = np.pad(batch, ((0, 0), (0, 0), (0, missing)))
    return np.where(finite, kernel(batch), np.nan)
