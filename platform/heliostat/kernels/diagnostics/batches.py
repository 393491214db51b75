"""Many statistics of many chains, a slab at a time: work arrays stay small.

``(chain, draw, …)`` arrays keep draws apart in memory; what is computed from them wants
the draws of one statistic together.  Statistics are regrouped in slabs of bounded size
and in float64, whatever type and number there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Any]
"""``(statistic, chain, draw)`` -> ``(statistic,)``, or several of them stacked."""

MIN_DRAWS = 4
"""At least this many draws: two in each half of a chain."""

BATCH_DRAWS = 500_000
"""Draws in one slab, if one statistic has no more: work arrays of 4 MB each."""


def as_draws(draws: ArrayLike) -> NDArray[Any]:
    """The draws as an array ``(chain, draw, …)`` of their own type.

    Raises:
        ValueError: for fewer than two axes, no entries, or entries of other types.
    """
    x = np.asarray(draws)
    if x.ndim < 2 or not x.size:
        raise ValueError(f"expected draws of shape (chain, draw, …), got {x.shape}")
    if x.dtype.kind not in "biuf":
        raise ValueError(f"expected real numbers, got draws of type {x.dtype}")
    return x


def map_statistics(
    kernel: Statistic, x: NDArray[Any], min_draws: int = MIN_DRAWS
) -> Any:
    """A kernel over all trailing axes of ``(chain, draw, …)``; NaN where undefined.

    Statistics that are not finite everywhere, or have fewer draws than asked for, are
    NaN.  Warnings of 0/0 are not given: NaN is the answer.

    Args:
        kernel: of finite ``(statistic, chain, draw)`` slabs in float64, any number of
            statistics at once.
        x: what :func:`checked` gave.
        fewest: draws that the kernel needs.

    Returns:
        ``(…)``, or ``(k, …)`` of a kernel that stacks k numbers; a scalar where one
        statistic was given.

    Example:
        >>> x = np.arange(24.0).reshape(2, 4, 3)
        >>> batched(lambda slab: slab.mean(axis=(1, 2)), x)
        array([10.5, 11.5, 12.5])
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = [_defined(kernel, slab, min_draws) for slab in _batches(x)]
    whole = np.concatenate(parts, axis=-1)
    return whole.reshape(whole.shape[:-1] + x.shape[2:])[()]


def _batches(x: NDArray[Any]) -> Iterator[Array]:
    """Contiguous ``(statistic, chain, draw)`` pieces."""
    chains, draws = x.shape[:2]
    flat = x.reshape(chains, draws, -1)
    step = max(1, BATCH_DRAWS // (chains * draws))
    for start in range(0, flat.shape[2], step):
        slab = np.moveaxis(flat[:, :, start : start + step], 2, 0)
        yield np.ascontiguousarray(slab, dtype=np.float64)


def _defined(kernel: Statistic, slab: Array, fewest: int) -> Array:
    """The kernel's numbers, of harmless zeros where they would not be defined."""
    missing = max(0, fewest - slab.shape[2])
    finite = np.asarray(np.isfinite(slab).all(axis=(1, 2)) & (not missing))
    if not finite.all():
        slab = np.where(finite[:, None, None], slab, 0)
        slab = np.pad(slab, ((0, 0), (0, 0), (0, missing)))
    return np.where(finite, kernel(slab), np.nan)
