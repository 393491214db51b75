"""Proposals against slow oracles, and sweeps of them against exact densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from heliostat.kernels.vmc.metropolis import metropolis_sweep
from heliostat.kernels.vmc.proposals import (
    Nuclei,
    nucleus_hop,
    small_step,
    spin_swap,
)
from heliostat.system.jit import jit

sweep = jit(metropolis_sweep, static_argnums=(0, 6))
MOLECULE = Nuclei(jnp.array([[0.0, 0, 0], [0, 0, 2.5]]), jnp.array([4.0, 1.0]))


def keys(count, seed=0):
    return jax.random.split(jax.random.key(seed), count)


many_hops = jit(jax.vmap(nucleus_hop, (0, None, None)))


def log_density(start, end, width, nuclei):
    """log q(start → end) of small steps, electron by electron from its definition."""
    total = 0.0
    for a, b in zip(start, end, strict=True):
        distances = np.linalg.norm(np.asarray(nuclei.positions) - a, axis=1)
        scale = min(distances + 1 / np.asarray(nuclei.charges))
        total += stats.norm.logpdf(b, a, width * scale).sum()
    return total


def test_the_ratio_of_small_steps_balances_them_pointwise(x64):
    """q(x → x') π(x) a = q(x' → x) π(x') a' for any density π, to rounding."""
    nuclei = jax.tree.map(lambda v: v.astype(float), MOLECULE)
    points = 1.5 * jax.random.normal(jax.random.key(1), (40, 3, 3))
    step = jax.vmap(small_step, (0, 0, None, None))
    proposals = step(keys(40), points, jnp.array(0.7), nuclei)
    log_pi = lambda x: -3.0 * np.linalg.norm(x)  # noqa: E731
    for x, y, ratio in zip(
        np.asarray(points), *map(np.asarray, proposals), strict=True
    ):
        there, back = (log_density(*p, 0.7, nuclei) for p in ((x, y), (y, x)))
        assert ratio == pytest.approx(back - there, abs=1e-9)
        gain = log_pi(y) - log_pi(x) + ratio
        flow = there + log_pi(x) + min(0.0, gain)
        reverse = back + log_pi(y) + min(0.0, -gain)
        assert flow == pytest.approx(reverse, abs=1e-9)


def test_a_hop_moves_one_electron_between_nuclei_and_has_a_way_back():
    """All hops from x that may be accepted are found again from where they lead."""
    x = np.array([[0.1, 0, 0], [0, 0.2, 2.4], [0, 0, -1.6]], "float32")  # no way for 2
    hops = many_hops(keys(32), jnp.asarray(x), MOLECULE)
    ends = np.asarray(hops.position)
    moved = (ends != x[None]).any(axis=2)
    assert (moved.sum(1) == 1).all() and moved.any(0).all()
    np.testing.assert_array_equal(np.isneginf(hops.log_ratio), moved[:, 2])
    for position in ends[~moved[:, 2]][:5]:
        back = many_hops(keys(32), jnp.asarray(position), MOLECULE)
        returns = np.abs(np.asarray(back.position) - x[None]).max((1, 2)) < 1e-6
        assert returns.any() and not np.asarray(back.log_ratio)[returns].any()


@pytest.mark.slow
def test_swaps_reach_every_pair_of_unlike_spins_and_no_other():
    x = jnp.arange(5.0)[:, None]
    swaps = jax.vmap(spin_swap, (0, None, None))(keys(100), x, 2).position[..., 0]
    expected = set()
    for up in range(2):
        for down in range(2, 5):
            order = list(range(5))
            order[up], order[down] = down, up
            expected.add(tuple(map(float, order)))
    assert set(map(tuple, np.asarray(swaps).tolist())) == expected


def atoms(walkers):
    """Draw two electrons from |ψ|² of :func:`hydrogenic`, exactly."""
    draw = np.random.default_rng(2)
    radii = draw.gamma(3.0, size=(walkers, 2)) * [1 / 8, 1 / 2]
    axes = draw.normal(size=(walkers, 2, 3))
    units = axes / np.linalg.norm(axes, axis=2, keepdims=True)
    x = radii[..., None] * units + np.asarray(MOLECULE.positions)[None]
    return jnp.asarray(x, jnp.float32)


def hydrogenic(x):
    """1s of Z = 4 for the up electron, 1s of Z = 1 at the other nucleus for the down"""
    r = jnp.linalg.norm(x - MOLECULE.positions, axis=1)
    return -4 * r[0] - r[1]


def radii(x):
    return np.linalg.norm(np.asarray(x) - np.asarray(MOLECULE.positions)[None], axis=2)


def test_a_sweep_leaves_two_exact_atoms_alone():
    """Radii follow gamma laws after sweeps of all moves; two KS tests at 1 in 1000.

    Before the sweep they do by construction; a wrong ratio of proposals, at widths that
    vary fourfold from core to valence, shifts them.
    """
    start = atoms(4000)
    moved, accepted = sweep(
        hydrogenic, jax.random.key(3), start, jnp.array(0.4), 20, MOLECULE, 1
    )
    assert 0.2 < float(accepted.mean()) < 0.8
    for r, scale in zip(radii(moved).T, (1 / 8, 1 / 2), strict=True):
        assert stats.kstest(r, "gamma", args=(3, 0, scale)).pvalue > 1e-3


WELLS = Nuclei(jnp.array([[0.0], [40.0]]), jnp.ones(2))


def wells(x):
    """log|ψ| of one electron in two unit normal wells, the second with weight 0.3."""
    near = jnp.stack([-(x[0, 0] ** 2), -((x[0, 0] - 40) ** 2)])
    return 0.5 * jax.nn.logsumexp(0.5 * near, b=jnp.array([0.7, 0.3]))


FIRST = jax.random.normal(jax.random.key(4), (5000, 1, 1))
"""Walkers in the first well."""


def test_hops_populate_a_well_that_small_steps_never_reach():
    """Hops leave the share 0.3 in the second well, small steps alone leave none.

    A hop is accepted with 3/7 from the first well and surely from the second, so the
    share's distance from 0.3 shrinks by |1 − 3/7 − 1| = 3/7 each: eight leave 0.1 %.
    Of 5,000 walkers four sigma are 0.026, a false alarm in 16,000.
    """
    key, width = jax.random.key(5), jnp.array(1.5)
    alone, _ = sweep(wells, key, FIRST, width, 40, None, None)
    assert (alone < 20).all()
    moved, _ = sweep(wells, key, FIRST, width, 40, WELLS, None)
    second = np.asarray(moved)[:, 0, 0] > 20
    assert second.mean() == pytest.approx(0.3, abs=0.026)
    inside = np.asarray(moved)[second, 0, 0] - 40
    assert stats.kstest(inside, "norm").pvalue > 1e-3


def test_small_steps_alone_count_as_accepted():
    """Tiny steps are always accepted; hops beside them, four in ten, do not count."""
    tiny = jnp.array(1e-5)
    _, accepted = sweep(wells, jax.random.key(6), FIRST, tiny, 10, WELLS, None)
    assert float(accepted.mean()) == pytest.approx(1, abs=1e-3)


def spins(x):
    """log|ψ| that has the up electron left of the down one with 4 in 5 of |ψ|²."""
    places = jnp.array([[0.0, 40.0], [40.0, 0.0]])
    fits = -0.5 * jnp.sum((x[:, 0][None] - places) ** 2, axis=1)
    return 0.5 * jax.nn.logsumexp(fits, b=jnp.array([0.8, 0.2]))


def test_swaps_exchange_spins_that_small_steps_never_exchange():
    """All start the rarer way round; a swap is sure from there, and 1 in 4 back.

    The share's distance from 0.8 shrinks by |1 − 1 − 1/4| each: nothing after eight.
    Of 5,000 walkers four sigma are 0.023, a false alarm in 16,000.
    """
    start = jax.random.normal(jax.random.key(7), (5000, 2, 1))
    start = start + jnp.array([[40.0], [0.0]])[None]
    key, width = jax.random.key(8), jnp.array(1.0)
    alone, _ = sweep(spins, key, start, width, 40, None, None)
    assert (alone[:, 0] > alone[:, 1]).all()
    moved, _ = sweep(spins, key, start, width, 40, None, 1)
    ordered = np.asarray(moved)[:, 0, 0] < np.asarray(moved)[:, 1, 0]
    assert ordered.mean() == pytest.approx(0.8, abs=0.023)
