"""Blocking against series whose error is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heliostat.kernels.diagnostics.blocking import (
    BlockedMean,
    block_errors,
    blocked_mean,
)

finite = st.floats(-1e3, 1e3).map(lambda v: round(v, 6))
series = arrays(np.float64, st.integers(8, 300), elements=finite)


def autoregressive(rho: float, steps: int, chains: int, seed: int = 0) -> np.ndarray:
    """x_t = ρ x_{t−1} + noise from its stationary law, ``(chains, steps)``."""
    noise = np.random.default_rng(seed).normal(size=(chains, steps))
    x = np.empty((chains, steps))
    x[:, 0] = noise[:, 0] / math.sqrt(1 - rho**2)
    for t in range(1, steps):
        x[:, t] = rho * x[:, t - 1] + noise[:, t]
    return x


def exact_error(rho: float, steps: int) -> float:
    """σ of the mean: (σ_x²/n) (1 + 2 Σ_t (1 − t/n) ρ^t), σ_x² = 1/(1 − ρ²)."""
    t = np.arange(1, steps)
    inflation = 1 + 2 * np.sum((1 - t / steps) * rho**t)
    return math.sqrt(inflation / (1 - rho**2) / steps)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_error_and_tau_of_autoregressive_series(rho):
    """The mean of 40 estimates scatters by at most 0.12/√40 = 2 %; with the criterion's
    own bias of at most 3 % a 10 % window fails by chance less than once in 10⁴ seeds.
    """
    chains = autoregressive(rho, 10_000, 40)
    results = [blocked_mean(x) for x in chains]
    error = np.mean([r.error for r in results])
    assert error == pytest.approx(exact_error(rho, 10_000), rel=0.10)
    tau = np.mean([r.tau for r in results])
    assert tau == pytest.approx(0.5 * (1 + rho) / (1 - rho), rel=0.15)


def test_standardised_means_are_standard_normal():
    """Σ z² of 400 chains is χ²(400)-like, σ = 0.035 of its mean for z² (0.05 with the
    error's own scatter): a window of 0.2 is 4 σ, one false alarm in 10⁴ seeds."""
    results = [blocked_mean(x) for x in autoregressive(0.5, 5000, 400, seed=1)]
    z = np.array([r.mean / r.error for r in results])
    assert np.mean(z**2) == pytest.approx(1.0, abs=0.2 + 0.05)


def test_alternating_neighbours_give_a_smaller_error():
    """ρ = −0.5 has τ = 1/6 exactly: the error must lie below the naive one."""
    result = blocked_mean(autoregressive(-0.5, 20_000, 1)[0])
    assert result.tau == pytest.approx(1 / 6, rel=0.25)


def test_tau_is_half_the_squared_ratio_of_errors():
    x = autoregressive(0.9, 4096, 1)[0]
    result = blocked_mean(x)
    naive = np.std(x, ddof=1) / math.sqrt(len(x))
    assert result.tau == pytest.approx(0.5 * (result.error / naive) ** 2, rel=1e-12)


def test_block_meets_the_criterion_first():
    """B³ > 2 n (err_B/err_1)⁴ holds at the block chosen and at no smaller one."""
    x = autoregressive(0.8, 4096, 1)[0]
    errors = block_errors(x)
    met = [8**k > 2 * len(x) * (e / errors[0]) ** 4 for k, e in enumerate(errors)]
    assert blocked_mean(x).block == 2 ** met.index(True)


def test_block_errors_against_the_definition():
    x = np.random.default_rng(3).normal(size=37)
    means = [x[4 * b : 4 * b + 4].mean() for b in range(9)]
    expected = np.std(means, ddof=1) / 3
    assert block_errors(x)[2] == pytest.approx(expected, rel=1e-12)


@settings(deadline=None)
@given(series, st.floats(-1e4, 1e4), st.floats(0.01, 100.0), st.sampled_from([-1, 1]))
def test_shift_and_scale_laws(x, shift, scale, sign):
    """mean(a x + c) = a mean + c, error(a x + c) = |a| error.

    Compared level by level: at a tie the block itself may flip by rounding.
    """
    other = block_errors(sign * scale * x + shift)
    assert other == pytest.approx(scale * block_errors(x), rel=1e-6, abs=1e-8)
    moved = blocked_mean(sign * scale * x + shift)
    assert moved.mean == pytest.approx(sign * scale * x.mean() + shift, abs=1e-6)


@given(series)
def test_reversed_series_of_whole_blocks_has_the_same_error(x):
    """Stationary means time order may be read from either end."""
    whole = x[: 2 ** int(math.log2(len(x)))]
    current, moved = block_errors(whole), block_errors(whole[::-1])
    assert moved == pytest.approx(current, rel=1e-9, abs=1e-12)


@given(series)
def test_every_result_is_finite_and_not_negative(x):
    result = blocked_mean(x)
    assert math.isfinite(result.mean)
    assert 0 <= result.error < math.inf
    assert 0 <= result.tau < math.inf
    assert len(x) // result.block >= 4


@given(st.floats(-1e6, 1e6), st.integers(8, 100))
def test_constant_series_has_no_error(value, steps):
    assert blocked_mean(np.full(steps, value)) == BlockedMean(value, 0.0, 0.5, 1)


@pytest.mark.parametrize("steps", range(1, 8))
def test_short_series_has_a_mean_and_no_error(steps):
    result = blocked_mean(np.arange(steps))
    assert result.mean == (steps - 1) / 2
    assert math.isnan(result.error)
    assert math.isnan(result.tau)
    assert result.block == 1


def test_large_offset_keeps_the_error():
    """float32 energies near −100 with fluctuations of 10⁻³ are the common case."""
    x = np.random.default_rng(0).normal(size=1000) * 1e-3
    assert blocked_mean(x - 1e6).error == pytest.approx(blocked_mean(x).error, rel=1e-6)


def test_float32_is_averaged_in_float64():
    x = np.random.default_rng(0).normal(size=50_000).astype(np.float32) - 100
    assert blocked_mean(x).mean == x.astype(np.float64).mean()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_entries_are_refused_by_place(bad):
    x = np.zeros(20)
    x[7] = bad
    with pytest.raises(ValueError, match=r"step 7 \(1 of 20 not finite\)"):
        blocked_mean(x)


@pytest.mark.parametrize("shape", [(0,), (4, 5), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(steps,\)"):
        blocked_mean(np.zeros(shape))
