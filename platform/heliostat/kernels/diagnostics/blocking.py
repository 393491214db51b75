"""Error bars of correlated series by blocking, with an automatic block length.

Neighbouring steps of a Markov chain are alike, so σ/√n understates the error of their
mean.  Means of blocks of B = 2^k neighbours are nearly independent once B exceeds the
memory of the chain; the naive error of these n/B means,

    err_B² = Σ_b (m_b − m)² / (N_B (N_B − 1)),    N_B = ⌊n/B⌋,

rises with B and then stays level.  Small blocks are biased, large ones noisy; the
plateau is the smallest B that satisfies

    B³ > 2 n (err_B / err_1)⁴

where the two errors of the error balance.

Reference: Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989); the choice of B is
Lee, Vogels and Needs, Phys. Rev. E 83, 066706 (2011), after Wolff, Comput. Phys.
Commun. 156, 143 (2004).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

MIN_STEPS = 8
"""With fewer steps no block length can be judged: the error is NaN."""

MIN_BLOCKS = 4
"""At least this many blocks are kept, at any block length."""

Series = Float64[np.ndarray, " steps"]


class BlockedMean(NamedTuple):
    """A mean with its error, corrected for correlation.

    ``tau`` is the integrated autocorrelation time in steps, in the convention
    ``τ = ½ (error / naive error)²``, that is ``τ = ½ + Σ_{t≥1} ρ(t)``: ½ for white
    noise, less where neighbours alternate, and ``n / 2τ`` is the effective number of
    independent steps.

    Example:
        >>> blocked_mean(np.ones(10))
        BlockedMean(mean=1.0, error=0.0, tau=0.5, block=1)
    """

    mean: float  # in the unit of the series
    error: float  # one sigma of the mean, in the unit of the series
    tau: float  # steps
    block: int  # steps per block, a power of two


def blocked_mean(series: ArrayLike) -> BlockedMean:
    """Return the mean of a stationary series and its one-sigma error.

        error = err_B at the smallest B with B³ > 2 n (err_B / err_1)⁴

    A series shorter than 8 steps has a mean but NaN error and tau, since its memory is
    unknown.  A constant one has error 0 and tau ½.  Where no block length that leaves 4
    blocks is long enough, the series spans too few τ: the error is the largest one of
    all lengths, and may still be too small.  For autoregressive series of n ≥ 100 τ the
    error scatters by up to 30 % around 0.98 of the true one; at 5 τ it is 0.6 of it.

    Args:
        series: ``(steps,)`` real numbers, in order of time, without gaps.

    Returns:
        Mean, error, τ and B.

    Raises:
        ValueError: if the series is empty, not one-dimensional or not finite.  Entries
            are never dropped: the caller knows why they are missing.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=10_000)
        >>> result = blocked_mean(noise)
        >>> round(result.error, 3), round(result.tau, 1), result.block
        (0.011, 0.6, 32)

    Reference: Lee, Vogels and Needs, Phys. Rev. E 83, 066706 (2011).
    """
    x = _as_series(series)
    mean = float(np.mean(x))
    if len(x) < MIN_STEPS:
        return BlockedMean(mean, float("nan"), float("nan"), 1)
    spread = float(np.ptp(x))
    if spread == 0:
        return BlockedMean(float(x[0]), 0.0, 0.5, 1)
    # offset and scale go first: total energies vary in their last digits only
    errors = block_errors((x - x[0]) / spread)
    ratios = errors / errors[0]
    level = _plateau(ratios, len(x))
    error, tau = spread * float(errors[level]), float(ratios[level] ** 2 / 2)
    return BlockedMean(mean, error, tau, 2**level)


def block_errors(series: Series) -> Float64[np.ndarray, " levels"]:
    """Return the naive error of block means at B = 1, 2, 4, …: a plot has the plateau.

        err_B² = Σ_b (m_b − m)² / (N_B (N_B − 1)),    N_B = ⌊n/B⌋

    Steps that do not fill a last block are left out of that level only.

    Args:
        series: ``(steps,)``, at least 4.

    Returns:
        ``(levels,)``, in the unit of the series.

    Example:
        >>> block_errors(np.array([0.0, 1.0] * 8)).round(3).tolist()
        [0.129, 0.0, 0.0]

    Reference: Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989).
    """
    levels = int(np.log2(len(series) // MIN_BLOCKS))
    return np.array([_naive(_means(series, 2**k)) for k in range(levels + 1)])


def _means(x: Series, block: int) -> Float64[np.ndarray, " blocks"]:
    count = len(x) // block
    return x[: count * block].reshape(count, block).mean(axis=1)


def _naive(x: Float64[np.ndarray, " blocks"]) -> float:
    return float(np.std(x, ddof=1) / np.sqrt(len(x)))


def _plateau(ratios: Float64[np.ndarray, " levels"], steps: int) -> int:
    """Return the level of the smallest sufficient block, or of the largest error."""
    blocks = 2.0 ** np.arange(len(ratios))
    enough = blocks**3 > 2 * steps * ratios**4
    return int(np.argmax(enough) if enough.any() else np.argmax(ratios))


def _as_series(series: ArrayLike) -> Series:
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise ValueError(f"blocked needs a series of shape (steps,), got {x.shape}")
    bad = np.flatnonzero(~np.isfinite(x))
    if len(bad):
        raise ValueError(
            f"blocked needs finite numbers, got {x[bad[0]]} at step {bad[0]} "
            f"({len(bad)} of {len(x)} not finite); drop or mend them first"
        )
    return x
