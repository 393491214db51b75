"""Diagnostics of many chains against ArviZ, closed forms, and their own laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arviz_stats.base import array_stats as referee
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heliostat.kernels.diagnostics import batches, ranks
from heliostat.kernels.diagnostics import convergence as dg
from heliostat.kernels.diagnostics.mixing import split_chains

SINGLE = (dg.rhat, dg.ess_bulk, dg.ess_tail, dg.ess_mean, dg.mcse_mean)
"""All that take draws and nothing else."""

levels = st.integers(-3, 3).map(float)
discrete = arrays(
    np.float64, st.tuples(st.integers(1, 5), st.integers(4, 24)), elements=levels
)


def autoregressive(rng, rho: float, *shape: int) -> np.ndarray:
    """x_t = ρ x_{t−1} + noise along axis 1 from its stationary law."""
    x = rng.normal(size=shape)
    x[:, 0] /= math.sqrt(1 - rho**2)
    for t in range(1, shape[1]):
        x[:, t] += rho * x[:, t - 1]
    return x


def alternating(rng, *shape: int) -> np.ndarray:
    """0101… but for one draw in ten."""
    flips = rng.random(shape) < 0.1
    return (np.arange(shape[1])[:, None] % 2 + flips) % 2.0


KINDS = {
    "normal": lambda rng, *shape: rng.normal(size=shape),
    "heavy tails": lambda rng, *shape: rng.standard_cauchy(shape),
    "bits": lambda rng, *shape: rng.integers(0, 2, shape).astype(bool),
    "rare bits": lambda rng, *shape: (rng.random(shape) < 0.15).astype(np.int8),
    "counts": lambda rng, *shape: rng.poisson(2, shape),
    "many levels": lambda rng, *shape: rng.integers(0, 2000, shape) // 7,
    "ties of thirds": lambda rng, *shape: rng.integers(0, 9, shape) / 3,
    "slow": lambda rng, *shape: autoregressive(rng, 0.9, *shape),
    "antithetic": lambda rng, *shape: autoregressive(rng, -0.7, *shape),
    "alternating": alternating,
    "apart": lambda rng, *shape: (
        rng.normal(size=shape) + np.arange(shape[0])[:, None, None]
    ),
    "one frozen": lambda rng, *shape: (
        rng.normal(size=shape) * (np.arange(shape[0]) > 0)[:, None, None]
    ),
}
SHAPES = [
    (2, 4),
    (3, 5),
    (8, 9),
    (4, 10),
    (4, 11),
    (5, 50),
    (4, 101),
    (40, 25),
    (2, 400),
]


ROUNDED = pytest.mark.filterwarnings("ignore:.*divide:RuntimeWarning:arviz_stats")
"""The referee divides by the variance of frozen chains, which it rounds to 0 or not."""


def varies(y: np.ndarray) -> bool:
    """Within a half chain: what does not is a matter of policy, not of the formula."""
    split = split_chains(np.asarray(y, dtype=float))
    return bool((split != split[..., :1]).any())


def tail(y: np.ndarray) -> float:
    """ArviZ's, but a side that never varies is left out, and frozen chains are one."""
    sizes = []
    for p in (0.05, 0.95):
        step = (y <= np.quantile(y, p)) * 1.0
        size = float(referee.ess(step, method="mean"))
        if np.ptp(split_chains(step)):
            sizes.append(size if varies(step) else min(size, len(y)))
    return min(sizes, default=math.nan)


@ROUNDED
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_arviz(kind, shape):
    """To 1e-8 or better, wherever a statistic varies within some half chain."""
    rng = np.random.default_rng(sum(map(ord, kind)) + 1000 * shape[1])
    x = KINDS[kind](rng, *shape, 6)
    x = x[..., [varies(y) for y in np.moveaxis(x, 2, 0)]]
    drawn = [y * 1.0 for y in np.moveaxis(x, 2, 0)]
    assert drawn
    group = np.arange(len(x)) % (2 if len(x) % 2 == 0 else len(x))
    expected = {
        dg.rhat: [referee.rhat(y, method="rank") for y in drawn],
        dg.ess_bulk: [referee.ess(y, method="bulk") for y in drawn],
        dg.ess_tail: [tail(y) for y in drawn],
        dg.ess_mean: [referee.ess(y, method="mean") for y in drawn],
        dg.mcse_mean: [referee.mcse(y, method="mean") for y in drawn],
    }
    for function, values in expected.items():
        np.testing.assert_allclose(function(x), values, rtol=1e-8)
    nested = [referee.rhat_nested(y, group, method="rank") for y in drawn]
    np.testing.assert_allclose(dg.nested_rhat(x, group), nested, rtol=1e-8)


@ROUNDED
@settings(deadline=None, max_examples=50)
@given(discrete)
def test_agrees_with_arviz_on_whatever_ties_there_are(x):
    if not varies(x):
        return
    ess = float(referee.ess(x, method="bulk"))
    assert dg.ess_bulk(x) == pytest.approx(ess, rel=1e-8)
    if len(x) > 1:
        expected = min(
            float(referee.rhat(x, method="rank")), 1e6
        )  # inf but for rounding
        assert min(dg.rhat(x), 1e6) == pytest.approx(expected, rel=1e-8)


def test_scores_counted_are_scores_sorted():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 200, (3, 1000)) / 2
    assert ranks._scores_of_few(x + 1 / 3) is None
    counted = ranks._scores_of_few(x)
    assert counted is not None
    np.testing.assert_array_equal(counted, ranks._scores_of_any(x))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, -0.3])
def test_autoregressive_series_have_the_size_of_the_closed_form(rho):
    """S (1 − ρ)/(1 + ρ).  The mean of 50 estimates scatters by at most 1.8 % around a
    bias of at most 1.4 %: 10 % is missed by chance once in 10⁵ seeds."""
    x = autoregressive(np.random.default_rng(1), rho, 4, 2000, 50)
    exact = 8000 * (1 - rho) / (1 + rho)
    assert np.mean(dg.ess_mean(x)) == pytest.approx(exact, rel=0.10)
    assert np.mean(dg.ess_bulk(x)) == pytest.approx(exact, rel=0.10)


def test_standardised_means_are_standard_normal():
    """Σ z² of 400 means is χ²(400)-like, σ = 0.07 of its mean: a window of 0.35 is 5 σ,
    one false alarm in 10⁶ seeds."""
    result = dg.summary(autoregressive(np.random.default_rng(2), 0.5, 4, 1000, 400))
    assert np.mean((result.mean / result.mcse) ** 2) == pytest.approx(1.0, abs=0.35)


def test_independent_draws_pass_and_shifted_or_scaled_chains_do_not():
    """R̂ of 4 × 1000 independent draws exceeds 1.01 about once in 10³: of 20 statistics
    with a fixed seed the median is compared."""
    x = np.random.default_rng(3).normal(size=(4, 1000, 20))
    first = (np.arange(4) == 0)[:, None, None]
    assert np.median(dg.rhat(x)) < 1.005
    assert (dg.rhat(x + first) > 1.05).all()
    assert (dg.rhat(x * (1 + 2 * first)) > 1.05).all()  # one median, another width
    assert (dg.ess_bulk(x + first) < 40).all()


def test_nested_rhat_detects_a_dependence_on_starts():
    """512 chains of 6 draws from 8 starts: with one mean each R̂ is 1 to within its
    scatter of 0.01; with starts 1 σ apart √(1 + 1) is expected."""
    rng = np.random.default_rng(4)
    start, label = rng.normal(size=8), np.arange(512) % 8
    x = rng.normal(size=(512, 6))
    assert dg.nested_rhat(x, label) < 1.05
    assert dg.nested_rhat(x + start[label][:, None], label) > 1.2
    names = np.array(list("abcdefgh"))[label]
    assert dg.nested_rhat(x, names) == dg.nested_rhat(x, label)


@settings(deadline=None, max_examples=30)
@given(discrete)
def test_order_of_chains_does_not_matter(x):
    for function in SINGLE:
        moved = function(x[::-1])
        np.testing.assert_allclose(moved, function(x), rtol=1e-6)


@given(
    arrays(np.float64, (4, 20), elements=st.integers(-99, 99).map(float), unique=True)
)
def test_monotone_transforms_leave_ranks_alone(x):
    """Bulk and tails see ranks alone, and the order of ranks may be turned over."""
    moved = x**3 + 5 * x
    assert dg.ess_bulk(moved) == dg.ess_bulk(x)
    assert dg.ess_bulk(-x) == pytest.approx(dg.ess_bulk(x), rel=1e-9)
    np.testing.assert_array_equal(ranks.normal_scores(moved), ranks.normal_scores(x))


@settings(deadline=None, max_examples=30)
@given(discrete, st.floats(-1e3, 1e3), st.floats(0.01, 100.0))
def test_shift_and_scale_laws(x, shift, scale):
    """mean(a x + c) = a mean + c, mcse(a x + c) = a mcse, in whole numbers exactly."""
    current, moved = dg.summary(x), dg.summary(scale * x + shift)
    assert moved.mean == pytest.approx(scale * current.mean + shift, abs=1e-9)
    assert moved.sd == pytest.approx(scale * current.sd, rel=1e-6)
    assert moved.constant == current.constant


@pytest.mark.parametrize("size", [1, 200, 10**9])
def test_batched_is_one_by_one(monkeypatch, size):
    """In slabs of any size and behind any axes, to the last bit."""
    x = autoregressive(np.random.default_rng(5), 0.5, 4, 25, 2, 3)
    x[..., 0, 0] = x[..., 0, 0] > 1
    label = [0, 1, 1, 0]
    alone = [[dg.summary(x[..., i, j]) for j in range(3)] for i in range(2)]
    nested = [[dg.nested_rhat(x[..., i, j], label) for j in range(3)] for i in range(2)]
    monkeypatch.setattr(batches, "BATCH_DRAWS", size)
    for name, values in dg.summary(x)._asdict().items():
        expected = [[getattr(one, name) for one in row] for row in alone]
        np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(dg.nested_rhat(x, label), nested)


def test_summary_is_its_parts():
    x = autoregressive(np.random.default_rng(6), 0.5, 4, 50, 3)
    result = dg.summary(x)
    np.testing.assert_array_equal(result.mcse, dg.mcse_mean(x))
    np.testing.assert_array_equal(result.ess_bulk, dg.ess_bulk(x))
    np.testing.assert_array_equal(result.ess_tail, dg.ess_tail(x))
    np.testing.assert_array_equal(result.rhat, dg.rhat(x))
    np.testing.assert_allclose(result.mean, x.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(result.sd, x.std(axis=(0, 1), ddof=1), rtol=1e-12)
    assert not result.constant.any()


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e6 / 3])
def test_what_never_varied_is_undefined(value):
    """Never S draws, error 0 or R̂ 1: nothing was seen of it."""
    x = np.full((4, 100), value)
    assert all(math.isnan(function(x)) for function in SINGLE)
    assert math.isnan(dg.nested_rhat(x, [0, 0, 1, 1]))
    result = dg.summary(x)
    assert result.constant and result.mean == value and result.sd == 0
    assert math.isnan(result.mcse) and math.isnan(result.rhat)


@pytest.mark.parametrize("draws", [4, 9, 10, 11, 400])
@pytest.mark.parametrize("values", [(0, 1, 0, 1), (0.1, 0.2, 0.3, 0.7), (0, 0, 0, 1)])
def test_chains_frozen_apart_are_a_failure(values, draws):
    x = np.repeat(np.array(values, dtype=float)[:, None], draws, axis=1)
    result = dg.summary(x)
    assert result.rhat == math.inf and not result.constant
    for size in (result.ess_bulk, result.ess_tail, dg.ess_mean(x)):
        assert 1 <= size <= 4 or math.isnan(size)
    assert result.ess_bulk > 0
    assert result.mcse >= np.std(x, ddof=1) / 2 * (1 - 1e-12)


def test_superchains_frozen_apart_are_a_failure():
    x = np.repeat(np.array([0.1, 0.1, 0.7, 0.7])[:, None], 10, axis=1)
    assert dg.nested_rhat(x, [0, 0, 1, 1]) == math.inf
    # apart within superchains, alike between them: that is how it should be
    assert dg.nested_rhat(x, [0, 1, 0, 1]) == 1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_entry_makes_its_statistic_undefined(bad):
    x = np.random.default_rng(7).normal(size=(4, 20, 3))
    fine = dg.summary(x)
    x[2, 5, 1] = bad
    for name, values in dg.summary(x)._asdict().items():
        expected = getattr(fine, name).astype(float)
        expected[1] = 0 if name == "constant" else math.nan
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_too_few_draws_are_undefined(draws):
    x = np.random.default_rng(8).normal(size=(4, draws, 2))
    for function in SINGLE:
        np.testing.assert_array_equal(function(x), [math.nan] * 2)
    np.testing.assert_allclose(dg.summary(x).mean, x.mean(axis=(0, 1)))
    assert math.isnan(dg.summary(np.ones((1, 1))).sd)


def test_one_chain_has_sizes_and_nothing_to_agree_with():
    x = np.random.default_rng(9).normal(size=(1, 1000))
    assert math.isnan(dg.rhat(x))
    assert dg.ess_bulk(x) == pytest.approx(1000, rel=0.3)


def test_tails_of_a_rare_bit_are_unknown():
    """Set in 2 % of draws, both quantiles are 0 and x ≤ 0 is all that is asked below;
    set in 98 %, neither side varies."""
    x = np.random.default_rng(10).random((4, 1000)) < 0.98
    assert math.isnan(dg.ess_tail(x)) and dg.ess_bulk(x) > 1000


def test_types_are_averaged_in_float64():
    x = np.random.default_rng(11).integers(0, 2, (4, 50, 3))
    expected = dg.summary(x)
    for dtype in (bool, np.int8, np.uint64, np.float16, np.float32):
        for values, others in zip(dg.summary(x.astype(dtype)), expected, strict=True):
            np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize("shape", [(), (5,), (0, 5), (5, 0), (4, 9, 0)])
def test_other_shapes_are_refused(shape):
    for function in (*SINGLE, dg.summary):
        with pytest.raises(ValueError, match=r"shape \(chain, draw, …\)"):
            function(np.zeros(shape))


def test_text_and_complex_numbers_are_refused():
    for draws in (np.full((4, 9), "a"), np.zeros((4, 9), dtype=complex)):
        with pytest.raises(ValueError, match="real numbers"):
            dg.summary(draws)


@pytest.mark.parametrize("label", [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1], [[0, 0, 1, 1]]])
def test_other_superchains_are_refused(label):
    with pytest.raises(ValueError, match="superchain"):
        dg.nested_rhat(np.zeros((4, 9)), label)
