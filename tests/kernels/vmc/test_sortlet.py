"""Sortlets against brute force: sorting and parity are written out."""

from functools import lru_cache
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc import sortlet as module
from heliostat.kernels.vmc.sortlet import (
    parity,
    ranks,
    sortlet,
)
from heliostat.system.jit import jit

pytestmark = pytest.mark.usefixtures("x64")


def brute_parity(order):
    pairs = [(i, j) for i in range(len(order)) for j in range(i)]
    return (-1) ** sum(order[j] > order[i] for i, j in pairs)


def value(scores, length=None):
    s = compiled(length, module.MAX_COMPARED)(jnp.asarray(scores))
    return float(s.sign * jnp.exp(s.log))


@lru_cache
def compiled(length, small):
    """One program for each way of counting; op by op takes seconds."""
    return jit(lambda scores: sortlet(scores, length))


def random_scores(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


@pytest.fixture(params=[24, 0], ids=["by comparison", "by sorting"])
def small(request, monkeypatch):
    monkeypatch.setattr(module, "MAX_COMPARED", request.param)


@pytest.mark.parametrize("n", range(1, 6))
def test_parity_of_every_permutation(n):
    orders = list(permutations(range(n)))
    result = jit(jax.vmap(parity))(jnp.array(orders))
    assert result.tolist() == [brute_parity(order) for order in orders]


@pytest.mark.parametrize("n", [0, 1, pytest.param(2, marks=pytest.mark.slow), 3, 7, 30])
def test_value_is_the_product_of_sorted_gaps(n, small):
    scores = random_scores(n)
    expected = brute_parity(np.argsort(scores)) * np.prod(np.diff(np.sort(scores)))
    assert value(scores) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("band", [1, 2, 4])
def test_a_band_has_the_gaps_of_more_neighbours(band, small):
    scores = random_scores(5)
    ordered = np.sort(scores)
    expected = brute_parity(np.argsort(scores)) * np.prod(
        [ordered[j] - ordered[i] for j in range(5) for i in range(max(0, j - band), j)]
    )
    product = jit(lambda scores: sortlet(scores, band=band))(jnp.asarray(scores))
    assert float(product.sign * jnp.exp(product.log)) == pytest.approx(expected)


@pytest.mark.parametrize("length", [None, 0.3])
@pytest.mark.parametrize("n", [pytest.param(2, marks=pytest.mark.slow), 4, 7])
def test_every_swap_flips_the_sign_and_nothing_else(n, length, small):
    scores = random_scores(n)
    for i in range(n):
        for j in range(i):
            swapped = scores.copy()
            swapped[[i, j]] = scores[[j, i]]
            assert value(swapped, length) == -value(scores, length)


def test_equal_scores_are_a_node():
    node = sortlet(jnp.array([1.0, 2.0, 1.0]))
    assert float(node.sign) == 0 and float(node.log) == -np.inf


def test_ranks_of_ties_keep_their_order():
    assert ranks(jnp.array([1.0, 0.0, 1.0, 0.0])).tolist() == [2, 0, 3, 1]


@pytest.mark.parametrize("length", [None, 0.5])
def test_value_and_gradient_are_continuous_through_a_crossing(length, small):
    """S is C¹: both sides of a(1) = a(0) have one slope (arXiv:2311.05598, prop. 3)."""

    def crossing(u):
        s = sortlet(jnp.array([0.3 + u, 0.3, -1.0, 1.5]), length)
        return s.sign * jnp.exp(s.log)

    slope = jit(jax.value_and_grad(crossing))
    (left, before), (right, after) = slope(-1e-7), slope(1e-7)
    assert float(left) == pytest.approx(-float(right), rel=1e-5)
    assert float(before) == pytest.approx(float(after), rel=1e-5)


def test_smoothing_tames_the_jump_of_the_second_derivative():
    """Bare gaps: S'' jumps by 2(A + B) at a crossing, A and B the next gaps."""

    def jump(length):
        def crossing(u):
            s = sortlet(jnp.array([u / 2, -u / 2, -2.0, 3.0]), length)
            return s.sign * jnp.exp(s.log)

        second = jit(jax.grad(jax.grad(crossing)))
        return float(second(1e-6) - second(-1e-6))

    assert abs(jump(None)) == pytest.approx(2 * (2.0 + 3.0), rel=1e-4)
    assert abs(jump(0.3)) < 1e-4


def test_long_smoothing_length_gives_back_the_bare_gaps():
    scores = random_scores(5)
    assert value(scores, 1e4) == pytest.approx(value(scores), rel=1e-6)
