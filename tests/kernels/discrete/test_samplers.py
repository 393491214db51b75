"""Samplers keep their target: exact draws stay exact draws after some steps.

``CHAINS`` chains start from exact draws of an enumerated density and take a few steps;
the histogram of their states is compared with the density by Pearson's χ².  The keys
are fixed; under the null hypothesis each test fails with probability 1e-6.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from support.enumeration import enumerated, index, states

from heliostat.kernels import (
    block_gibbs,
    chromatic,
    dmala,
    dula,
    hamming_ball,
    informed,
    ising,
    kawasaki,
    lazy,
    locally_balanced,
    multi_flip,
    path_auxiliary,
    potts,
    random_scan_gibbs,
    random_scan_metropolis,
    tempered,
)
from heliostat.kernels.discrete.adaptation import (
    SizeAdaptation,
    adapt_size,
    freeze_size,
    init_adaptation,
)
from heliostat.kernels.discrete.bit_packing import pack, unpack
from heliostat.kernels.discrete.chain import Sizes
from heliostat.kernels.discrete.densities import sine_rbm
from heliostat.kernels.discrete.selection import select
from heliostat.kernels.discrete.target import Target, value
from heliostat.kernels.discrete.tempering import geometric_betas, target_chain
from heliostat.system.jit import jit

CHAINS = 40_000
RBM = sine_rbm(6, 4, 1.0)
ISING = ising(3, 0.3, field=0.2)
CATEGORICAL = Target(
    lambda x: jnp.sum(jnp.sin(jnp.arange(9.0).reshape(3, 3)) * x) + x[0] @ x[1],
    sites=3,
    values=3,
    colours=(0, 1, 0),
)


def density(target):
    return enumerated(target)[3]


def moved(target, kernel, steps, size):
    """Move chains from exact draws, and return the indices of their states."""
    chances = density(target)
    draw = np.random.default_rng(0)
    x = states(target)[draw.choice(len(chances), CHAINS, p=chances)]

    def walk(key, x):
        def body(t, chain):
            return kernel.step(jax.random.fold_in(key, t), chain, size)[0]

        return target_chain(jax.lax.fori_loop(0, steps, body, kernel.init(x))).x

    keys = jax.random.split(jax.random.key(1), CHAINS)
    return index(np.asarray(jit(jax.vmap(walk))(keys, x)), target.values)


def chi_square_p_value(indices, chances):
    """Return the probability of a χ² as large as this one."""
    counts = np.bincount(indices, minlength=len(chances))
    order = np.argsort(chances)
    groups = np.cumsum(chances[order]) * CHAINS // 20  # rare states count together
    observed = np.bincount(groups.astype(int), counts[order])
    expected = np.bincount(groups.astype(int), chances[order]) * len(indices)
    filled = expected > 0
    statistic = ((observed - expected)[filled] ** 2 / expected[filled]).sum()
    return chi2.sf(statistic, filled.sum() - 1)


KERNELS = {
    "gwg": (RBM, informed(RBM), 1.0),
    "ratio": (RBM, informed(RBM, "ratio"), 1.0),
    "min": (RBM, informed(RBM, "min"), 1.0),
    "max": (RBM, informed(RBM, "max"), 1.0),
    "locally balanced": (RBM, locally_balanced(RBM), 1.0),
    "multi": (RBM, multi_flip(RBM, longest=4), 2.3),
    "path": (RBM, path_auxiliary(RBM, longest=4), 2.3),
    "dmala": (RBM, dmala(RBM), 0.6),
    "gibbs": (RBM, random_scan_gibbs(RBM), 1.0),
    "metropolis": (RBM, random_scan_metropolis(RBM), 1.0),
    "kawasaki": (RBM, kawasaki(RBM), 1.0),
    "categorical kawasaki": (CATEGORICAL, kawasaki(CATEGORICAL), 1.0),
    "block": (RBM, block_gibbs(RBM), 1.0),
    "ball": (RBM, hamming_ball(RBM, 4, 1), 1.0),
    "ball of two": (RBM, hamming_ball(RBM, 4, 2), 1.0),
    "lazy": (RBM, lazy(informed(RBM), 0.3), 1.0),
    "chromatic": (ISING, chromatic(ISING), 1.0),
    "categorical gwg": (CATEGORICAL, informed(CATEGORICAL), 1.0),
    "categorical multi": (CATEGORICAL, multi_flip(CATEGORICAL, longest=3), 2.0),
    "categorical path": (CATEGORICAL, path_auxiliary(CATEGORICAL, longest=3), 2.0),
    "categorical dmala": (CATEGORICAL, dmala(CATEGORICAL), 0.6),
    "categorical gibbs": (CATEGORICAL, random_scan_gibbs(CATEGORICAL), 1.0),
    "categorical metropolis": (CATEGORICAL, random_scan_metropolis(CATEGORICAL), 1.0),
    "categorical ball": (CATEGORICAL, hamming_ball(CATEGORICAL, 2, 2), 1.0),
    "potts chromatic": (potts(3, 2, 0.5), chromatic(potts(3, 2, 0.5)), 1.0),
}


QUICK = ("dmala", "kawasaki", "chromatic", "categorical gwg")
"""Most others are held to detailed balance in ``test_transitions``, without chance;
runs of "gwg" to exact energies in ``test_discrete``."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in KERNELS],
)
def test_exact_draws_stay_exact(name):
    target, kernel, size = KERNELS[name]
    result = moved(target, kernel, 5, size)
    assert chi_square_p_value(result, density(target)) > 1e-6


def test_dula_with_a_long_step_has_another_density():
    """The test above can fail: DULA with a long step has another density."""
    assert chi_square_p_value(moved(RBM, dula(RBM), 5, 2.0), density(RBM)) < 1e-6


@pytest.mark.slow
def test_gwg_keeps_parity_and_lazy_steps_mix_it():
    """Without coupling GWG always flips one bit: all chains keep one parity."""
    target = ising(3, 0.0)

    def parities(kernel, steps):
        start = jnp.zeros(9, jnp.uint8)
        walk = lambda key: jax.lax.fori_loop(  # noqa: E731
            0,
            steps,
            lambda t, c: kernel.step(jax.random.fold_in(key, t), c)[0],
            kernel.init(start),
        ).x.sum()
        keys = jax.random.split(jax.random.key(0), 2000)
        return np.asarray(jit(jax.vmap(walk))(keys)) % 2

    assert set(parities(informed(target), 50)) == {0}
    share = parities(lazy(informed(target), 0.3), 50).mean()
    assert abs(share - 0.5) < 5 * 0.5 / 2000**0.5  # false alarm: 6e-7


@pytest.mark.slow
def test_tempering_keeps_its_target_and_crosses_between_wells():
    """Exact draws stay exact; and a chain that starts in one well finds the other."""
    well = Target(lambda x: 3.0 * jnp.abs(jnp.sum(2 * x - 1)) - 8.0, sites=6)
    betas = np.asarray(geometric_betas(6, hottest=0.05))
    kernel = tempered(informed(well, differences="exact"), well, betas)

    def sums_of(key):
        def body(chain, t):
            chain, _ = kernel.step(jax.random.fold_in(key, t), chain)
            return chain, target_chain(chain).x.sum()

        begun = kernel.init(jnp.zeros(6, jnp.uint8))
        return jax.lax.scan(body, begun, jnp.arange(400))[1][200:]

    sums = np.asarray(jit(jax.vmap(sums_of))(jax.random.split(jax.random.key(0), 500)))
    exact = density(well) @ states(well).sum(1)
    means = sums.mean(1)
    z = (means.mean() - exact) / (means.std() / 500**0.5)
    assert abs(z) < 5  # false alarm: 6e-7; without tempering all stay near 0


@pytest.mark.parametrize(
    "build",
    [
        informed,
        pytest.param(locally_balanced, marks=pytest.mark.slow),
        pytest.param(lambda t: informed(t, "max", "exact"), marks=pytest.mark.slow),
        dmala,
        dula,
        pytest.param(lambda t: multi_flip(t, longest=4), marks=pytest.mark.slow),
        random_scan_gibbs,
    ],
    ids=["gwg", "locally balanced", "max", "dmala", "dula", "multi", "gibbs"],
)
def test_chains_leave_states_of_zero_probability_and_never_return(build):
    """Of nine bits at most two may be on; chains start with all of them on, where the
    gradient leads back."""
    wall = lambda x: jnp.where(jnp.sum(x) <= 2, 0.0, -jnp.inf)  # noqa: E731
    target = Target(lambda x: 2 * jnp.sum(x) + wall(x), 9)
    kernel = build(target)

    def walk(key):
        def body(chain, t):
            chain, _ = kernel.step(jax.random.fold_in(key, t), chain, 0.2)
            return chain, chain.x.sum()

        return jax.lax.scan(
            body, kernel.init(jnp.ones(9, jnp.uint8)), jnp.arange(2000)
        )[1]

    sums = np.asarray(jit(jax.vmap(walk))(jax.random.split(jax.random.key(0), 32)))
    assert (sums[:, -500:] <= 2).all()
    assert (np.ptp(sums[:, -500:], axis=1) > 0).all()


@pytest.mark.parametrize("moves", ["factorised", "path"])
def test_nothing_adapts_on_steps_of_a_lost_chain(moves):
    target = Target(lambda x: jnp.where(jnp.sum(x) <= 2, 0.0, -jnp.inf), 9)
    kernel = informed(target, moves=moves, longest=4 if moves == "path" else 1)
    search = init_adaptation(kernel.sizes)
    for start, adapts in ((jnp.ones(9), False), (jnp.zeros(9), True)):
        _, info = kernel.step(jax.random.key(0), kernel.init(start), search.size)
        new = adapt_size(search, info.acceptance, kernel.sizes)
        assert (int(new.seen) == 1) == (float(new.size) != float(search.size)) == adapts


@pytest.mark.parametrize("build", [informed, random_scan_gibbs, kawasaki, dmala])
def test_spins_are_taken_as_their_bits(build):
    bits = jnp.array([0, 1, 1, 0, 1, 0, 1, 1, 1], jnp.uint8)
    kernel, spins = build(ISING), 2 * bits.astype(int) - 1
    for x in (spins, spins.astype(float), np.asarray(spins)):
        for start in (kernel.init(x), jit(kernel.init)(x)):
            assert start.x.dtype == jnp.uint8 and (start.x == bits).all()
            assert float(start.logp) == float(kernel.init(bits).logp)
    assert float(value(ISING, spins)) == float(value(ISING, bits))


def test_states_with_other_values_are_refused():
    for target, x in (
        (ISING, [-1] + [0] * 8),
        (CATEGORICAL, [-1, 1, 1]),
        (RBM, [2] * 6),
    ):
        with pytest.raises(ValueError, match="expected whole numbers from 0 to"):
            informed(target).init(np.array(x))


def test_adaptation_reaches_its_acceptance_and_then_stands_still():
    sizes = Sizes(1.0, 1e-3, 1e3)

    def body(search, _):
        return adapt_size(search, jnp.exp(-3 * search.size), sizes), None

    search, _ = jax.lax.scan(body, init_adaptation(sizes), None, 2000)
    expected = -np.log(0.574) / 3
    assert float(freeze_size(search).size) == pytest.approx(expected, rel=0.02)
    assert isinstance(freeze_size(search), SizeAdaptation)


@pytest.mark.parametrize("n", [1, 5, 48, 49, 100, 785])
def test_selection_is_the_inverse_distribution(n):
    weights = np.random.default_rng(n).random(n) * (np.arange(n) % 3 != 1)
    marks = np.cumsum(weights) / weights.sum()
    u = np.random.default_rng(1).random(2000)
    with jax.enable_x64(True):
        pick = jit(jax.vmap(select, (0, None)))
        result = pick(jnp.array(u), jnp.array(weights))
        ends = pick(jnp.array([0.0, 1 - 2.0**-53]), jnp.array(weights))
    np.testing.assert_array_equal(result, np.searchsorted(marks, u, side="right"))
    assert (weights[np.asarray(ends)] > 0).all()


@pytest.mark.parametrize("values", [2, 3, 4, 5, 256])
def test_packing_round_trips(values):
    x = np.random.default_rng(0).integers(0, values, (7, 13)).astype(np.uint8)
    packed = np.stack([np.asarray(pack(jnp.array(row), values)) for row in x])
    np.testing.assert_array_equal(unpack(packed, 13, values), x)
    assert packed.shape[1] == -(-13 * (values - 1).bit_length() // 8)
