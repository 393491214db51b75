"""Error bars of correlated means against series whose error is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.fft import dct
from scipy.signal import lfilter
from scipy.stats import binom

from heliostat.kernels.diagnostics.correlated_mean import (
    MIN_STEPS,
    CorrelatedMean,
    correlated_mean,
    cosine_variances,
)

finite = st.floats(-1e3, 1e3).map(lambda v: round(v, 6))
series = arrays(np.float64, st.integers(MIN_STEPS, 300), elements=finite)


def decay(tau: float) -> float:
    """Return r of ρ(t) = r^t with ½ + Σ_{t≥1} r^t = τ."""
    return (2 * tau - 1) / (2 * tau + 1)


def autoregressive(tau, steps, chains, rng, degrees=None) -> np.ndarray:
    """x_t = r x_{t−1} + noise of unit variance, ``(chains, steps)``.

    The noise is normal, or Student's t with so many degrees of freedom.
    """
    r, shape = decay(tau), (chains, steps + 200)
    if degrees is None:
        noise = rng.normal(size=shape)
    else:
        noise = rng.standard_t(degrees, size=shape) * math.sqrt(1 - 2 / degrees)
    return lfilter([math.sqrt(1 - r * r)], [1, -r], noise, axis=1)[:, 200:]


def two_parts(tau, steps, chains, rng) -> np.ndarray:
    """Return half τ = ½ or 1 and half a slower part: together τ."""
    fast = 0.5 if tau <= 1 else 1.0
    parts = [autoregressive(t, steps, chains, rng) for t in (fast, 2 * tau - fast)]
    return (parts[0] + parts[1]) * math.sqrt(0.5)


def heavy_tails(tau, steps, chains, rng) -> np.ndarray:
    return autoregressive(tau, steps, chains, rng, degrees=5)


def coverage(chains: np.ndarray, variance: float | None) -> list[int]:
    """Count the means, 0 in truth, within one, two and three errors."""
    results = [correlated_mean(x, variance) for x in chains]
    z = np.abs([r.mean / r.error for r in results])
    return [int(np.sum(z < k)) for k in (1, 2, 3)]


def limits(count: int, false_alarm: float) -> list[tuple[float, float]]:
    """Return binomial limits of a normal distribution's coverage at 1, 2, 3 sigma."""
    normal = [math.erf(k / math.sqrt(2)) for k in (1, 2, 3)]
    tails = false_alarm / 2, 1 - false_alarm / 2
    return [tuple(binom.ppf(tails, count, p)) for p in normal]


@pytest.mark.parametrize("tau", [0.5, 1, 2, 5])
def test_one_two_and_three_errors_cover_as_they_say(tau):
    """500 series of 200 rows: 2 % of seeds would fail a bar that is exact."""
    chains = autoregressive(tau, 200, 500, np.random.default_rng(3))
    for count, (low, high) in zip(
        coverage(chains, 1.0), limits(500, 2e-3), strict=True
    ):
        assert low <= count <= high


LONG_ENOUGH = {autoregressive: 40, heavy_tails: 40, two_parts: 200}
"""Steps per τ from which no bar is too small, as the docstring says."""

CASES = [
    (kind, tau, steps)
    for kind, times in LONG_ENOUGH.items()
    for tau in (0.5, 2, 5)
    for steps in (25, 50, 100, 400, 1000)
    if steps >= times * tau
]


@pytest.mark.slow
@pytest.mark.parametrize("variance", [None, 1.0], ids=["unknown", "known"])
@pytest.mark.parametrize(("kind", "tau", "steps"), CASES)
def test_no_bar_of_a_long_series_is_too_small(kind, tau, steps, variance):
    """1,000 series a case, one in 2,000 of which fails a bar that is exact, at each of
    three limits.  Above, one error covers 0.85 at most: rows too few to exclude a long
    τ widen the bar, to 0.82 in 25 steps of white noise."""
    rng = np.random.default_rng([steps, int(10 * tau)])
    one, two, three = coverage(kind(tau, steps, 1000, rng), variance)
    least = [low for low, _ in limits(1000, 1e-3)]
    assert least[0] <= one <= 850
    assert two >= least[1]
    assert three >= least[2]


@pytest.mark.parametrize("tau", [0.5, 1.5, 9.5])
def test_error_and_tau_of_long_series(tau):
    """The mean of 40 estimates scatters by 1 %: 6 % is never left by chance."""
    steps = 10_000
    chains = autoregressive(tau, steps, 40, np.random.default_rng(0))
    results = [correlated_mean(x) for x in chains]
    exact = math.sqrt(cosine_variances(tau, steps)[0] / steps)
    assert np.mean([r.error for r in results]) == pytest.approx(exact, rel=0.06)
    assert np.mean([r.tau for r in results]) == pytest.approx(tau, rel=0.15)


@pytest.mark.parametrize("steps", [20, 33])
@pytest.mark.parametrize("tau", [0.5, 1.7, 12.0])
def test_variances_of_components_against_the_covariance_matrix(tau, steps):
    """λ_j is the diagonal of C Σ Cᵀ; the mean has C = 1/√n."""
    distance = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
    transform = dct(np.eye(steps), axis=0, norm="ortho")
    slow = np.diag(transform @ decay(tau) ** distance @ transform.T)
    assert cosine_variances(tau, steps) == pytest.approx(slow, rel=1e-12)


def test_alternating_neighbours_do_not_lower_the_error():
    x = lfilter([1], [1, 0.5], np.random.default_rng(0).normal(size=20_000))
    result = correlated_mean(x)
    assert result.error == pytest.approx(np.std(x, ddof=1) / math.sqrt(20_000))
    assert result.tau == pytest.approx(0.5)


@settings(deadline=None, max_examples=30)
@given(series)
def test_error_is_at_least_that_of_independent_steps(x):
    naive = np.std(x, ddof=1) / math.sqrt(len(x))
    result = correlated_mean(x)
    assert naive * (1 - 1e-12) <= result.error < math.inf
    assert 0.5 <= result.tau < math.inf


@settings(deadline=None, max_examples=30)
@given(series, st.floats(1e-3, 1e6))
def test_error_is_at_least_that_of_the_known_variance(x, variance):
    result = correlated_mean(x, variance)
    assert math.sqrt(variance / len(x)) * (1 - 1e-12) <= result.error < math.inf
    assert 0.5 <= result.tau < math.inf


def test_known_variance_that_is_wrong_does_not_hide_the_scatter():
    x = autoregressive(2, 1000, 1, np.random.default_rng(0))[0]
    right, wrong = correlated_mean(x, 1.0), correlated_mean(x, 1e-6)
    assert wrong.error == pytest.approx(right.error, rel=0.1)


@settings(deadline=None, max_examples=30)
@given(series, st.floats(-1e4, 1e4), st.floats(0.01, 100.0), st.sampled_from([-1, 1]))
def test_shift_and_scale_laws(x, shift, scale, sign):
    """mean(a x + c) = a mean + c, error(a x + c) = |a| error."""
    one, moved = correlated_mean(x), correlated_mean(sign * scale * x + shift)
    assert moved.mean == pytest.approx(sign * scale * x.mean() + shift, abs=1e-6)
    assert moved.error == pytest.approx(scale * one.error, rel=1e-5, abs=1e-7)


@settings(deadline=None, max_examples=30)
@given(series)
def test_reversed_series_has_the_same_error(x):
    """Stationary means time order may be read from either end."""
    current, moved = correlated_mean(x), correlated_mean(x[::-1])
    assert moved.error == pytest.approx(current.error, rel=1e-6, abs=1e-9)


@given(st.floats(-1e6, 1e6), st.integers(MIN_STEPS, 100))
def test_constant_series_has_no_error(value, steps):
    result = correlated_mean(np.full(steps, value))
    assert result == CorrelatedMean(value, 0.0, 0.5, "")


@pytest.mark.parametrize("steps", [1, 7, MIN_STEPS - 1])
def test_short_series_has_a_mean_no_error_and_a_reason(steps):
    result = correlated_mean(np.arange(steps), variance=1.0)
    assert result.mean == (steps - 1) / 2
    assert math.isnan(result.error)
    assert math.isnan(result.tau)
    assert result.note == f"no error bar: {steps} rows, at least 20 are needed"


def test_few_autocorrelation_times_are_noted():
    rng = np.random.default_rng(0)
    slow = correlated_mean(autoregressive(12, 100, 1, rng)[0])
    assert "autocorrelation times: the error bar may be too small" in slow.note
    assert correlated_mean(rng.normal(size=100)).note == ""


def test_large_offset_keeps_the_error():
    """float32 energies near −100 with fluctuations of 10⁻³ are the common case."""
    x = np.random.default_rng(0).normal(size=1000) * 1e-3
    expected = correlated_mean(x).error
    assert correlated_mean(x - 1e6).error == pytest.approx(expected, rel=1e-6)


def test_float32_is_averaged_in_float64():
    x = np.random.default_rng(0).normal(size=50_000).astype(np.float32) - 100
    assert correlated_mean(x).mean == x.astype(np.float64).mean()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_entries_are_refused_by_place(bad):
    x = np.zeros(20)
    x[7] = bad
    with pytest.raises(ValueError, match=r"step 7 \(1 of 20 not finite\)"):
        correlated_mean(x)


@pytest.mark.parametrize("shape", [(0,), (4, 5), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(steps,\)"):
        correlated_mean(np.zeros(shape))
