"""Exact transition matrices, built through the kernels' own code on small spaces.

Every way to get from x to y is enumerated; its probability is what the kernel's own
``chances``, ``conditionals`` or logits say.  Judged: rows sum to one, detailed balance
to 1e-12, and the integrated autocorrelation times of the 3 × 3 torus, computed before
by other code from other formulas (discrete samplers in NumPy, Poisson's equation).
"""

from __future__ import annotations

from itertools import permutations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.enumeration import index, states

from heliostat.kernels import ising, potts
from heliostat.kernels.discrete.chain import Chain, Tilt, tilted
from heliostat.kernels.discrete.chromatic import conditionals
from heliostat.kernels.discrete.densities import sine_rbm
from heliostat.kernels.discrete.proposals import informed, transition_log_probs
from heliostat.kernels.discrete.target import alternatives, value
from heliostat.system.jit import jit

CRITICAL = np.log(1 + np.sqrt(2)) / 2

pytestmark = pytest.mark.usefixtures("x64")


def stationary(target, tilt=None):
    def log(x):
        return tilted(Chain(x, value(target, x), jnp.zeros((0, 0))), tilt)[0]

    return np.asarray(jax.nn.softmax(jit(jax.vmap(log))(states(target))))


def matrix(target, kernel, ways, size=1.0, tilt=None):
    """P from all (new states, sites, count) that ``ways(x)`` lists for a state."""
    space = states(target)

    def row(x):
        chain = kernel.init(x)
        ys, sites, count = ways(x)
        moved = jax.vmap(kernel.init)(ys)
        look = lambda t, s: transition_log_probs(  # noqa: E731
            kernel.proposal, chain, t, s, count, size, tilt
        )
        ahead, ratio = jax.vmap(look)(moved, sites)
        return ys, jnp.exp(ahead) * jnp.minimum(1.0, jnp.exp(ratio)), jnp.exp(ahead)

    ys, chance, proposed = jit(jax.vmap(row))(space)
    np.testing.assert_allclose(np.sum(proposed, 1), 1, atol=1e-12)  # all ways are here
    p = np.zeros((len(space), len(space)))
    to = index(np.asarray(ys), target.values)
    np.add.at(p, (np.arange(len(space))[:, None], to), np.asarray(chance))
    return p + np.diag(1 - p.sum(1))


def by_sites(target, sequences):
    """All ways by sequences of sites, each changed site to each of its values."""
    sequences = np.array(sequences, np.int32)
    shifts = np.array(
        list(product(range(target.values - 1), repeat=sequences.shape[1])), np.int32
    )
    pairs = [(s, k) for s in sequences for k in shifts]
    if sequences.shape[1] > 1 and target.values > 2:
        pairs = [  # a site that comes twice has one value
            (s, k)
            for s, k in pairs
            if all(
                k[i] == k[j] for i in range(len(s)) for j in range(i) if s[i] == s[j]
            )
        ]
    sites = jnp.array([s for s, _ in pairs])
    moves = jnp.array([k for _, k in pairs])

    def ways(x):
        moved = alternatives(x, target.values)
        change = lambda s, k: x.at[s].set(moved[s, k])  # noqa: E731
        return jax.vmap(change)(sites, moves), sites, jnp.int32(sequences.shape[1])

    return ways


def by_states(target):
    space = jnp.array(states(target))
    none = jnp.zeros((len(space), 1), jnp.int32)
    return lambda x: (space, none, jnp.int32(1))


def balance(p, pi):
    flow = pi[:, None] * p
    return np.abs(flow - flow.T).max()


def iat(p, pi, h):
    """1 + 2 Σ ρ_t, by Poisson's equation (I − P + 1πᵀ) g = h."""
    h = h - pi @ h
    g = np.linalg.solve(np.eye(len(p)) - p + pi[None], h)
    return (2 * pi @ (h * g) - pi @ (h * h)) / (pi @ (h * h))


def statistics(target):
    spins = 2.0 * states(target) - 1
    energy = jit(jax.vmap(lambda x: target.energy(x.astype(float))))(states(target))
    return spins.sum(1), np.asarray(energy)


SINGLES = [(i,) for i in range(9)]
LATTICE = ising(3, CRITICAL)


@pytest.mark.parametrize(
    ("balancing", "differences"),
    [
        ("sqrt", "taylor"),
        ("ratio", "exact"),
        ("min", "taylor"),
        ("max", "exact"),
    ],
)
def test_single_moves_are_in_detailed_balance(balancing, differences):
    target = sine_rbm(9, 3, 1.5)  # whose Taylor gains are not exact
    kernel = informed(target, balancing, differences)
    p = matrix(target, kernel, by_sites(target, SINGLES))
    assert balance(p, stationary(target)) < 1e-12


@pytest.mark.parametrize(
    ("size", "moves"),
    [
        pytest.param(2, "multi", marks=pytest.mark.slow),
        pytest.param(2, "path", marks=pytest.mark.slow),
        pytest.param(3, "multi", marks=pytest.mark.slow),
        (3, "path"),
    ],
)
def test_sequences_are_in_detailed_balance(moves, size):
    target = sine_rbm(6, 3, 1.5)
    again = moves == "multi"
    every = (
        list(product(range(6), repeat=size))
        if again
        else list(permutations(range(6), size))
    )
    kernel = informed(target, moves=moves, longest=size)
    p = matrix(target, kernel, by_sites(target, every), size=size)
    assert balance(p, stationary(target)) < 1e-12


def test_a_shorter_path_reverses_only_what_it_used():
    target = sine_rbm(6, 3, 1.5)
    kernel = informed(target, moves="path", longest=4)
    every = list(permutations(range(6), 2))
    ways = by_sites(target, every)

    def padded(x):
        ys, sites, count = ways(x)
        return ys, jnp.pad(sites, ((0, 0), (0, 2))), count

    p = matrix(target, kernel, padded, size=2)
    assert balance(p, stationary(target)) < 1e-12


@pytest.mark.parametrize(
    ("alpha", "balancing"),
    [
        (0.2, "sqrt"),
        pytest.param(1.0, "sqrt", marks=pytest.mark.slow),
        pytest.param(0.2, "ratio", marks=pytest.mark.slow),
        (1.0, "ratio"),
    ],
)
def test_factorised_moves_are_in_detailed_balance(alpha, balancing):
    target = sine_rbm(6, 3, 1.5)
    kernel = informed(target, balancing, moves="factorised")
    p = matrix(target, kernel, by_states(target), size=alpha)
    assert balance(p, stationary(target)) < 1e-12


CATEGORICAL = potts(3, 3, 0.8)._replace(
    sites=4,  # a small categorical target of our own, far from multilinear
    logp=lambda x: (
        jnp.sum(jnp.sin(jnp.arange(12.0).reshape(4, 3) * x))
        + jnp.sum(x[1] * x[2]) ** 2
        - jnp.sum(x[0] * x[3] * jnp.arange(3.0))
    ),
    multilinear=False,
)


@pytest.mark.parametrize(
    "moves",
    [pytest.param("single", marks=pytest.mark.slow), "multi", "path", "factorised"],
)
def test_categorical_moves_are_in_detailed_balance(moves):
    kernel = informed(
        CATEGORICAL, moves=moves, longest=2 if moves in ("multi", "path") else 1
    )
    ways = {
        "single": by_sites(CATEGORICAL, [(i,) for i in range(4)]),
        "multi": by_sites(CATEGORICAL, list(product(range(4), repeat=2))),
        "path": by_sites(CATEGORICAL, list(permutations(range(4), 2))),
        "factorised": by_states(CATEGORICAL),
    }[moves]
    size = {"factorised": 0.7}.get(moves, 2)
    p = matrix(CATEGORICAL, kernel, ways, size)
    assert balance(p, stationary(CATEGORICAL)) < 1e-12


def test_a_tilt_is_sampled_as_it_says():
    base = jnp.array(np.random.default_rng(0).normal(size=(6, 2)))
    tilt = Tilt(jnp.array(0.3), base)
    target = sine_rbm(6, 3, 1.5)
    ways = by_sites(target, [(i,) for i in range(6)])
    p = matrix(target, informed(target), ways, tilt=tilt)
    assert balance(p, stationary(target, tilt)) < 1e-12
    assert balance(p, stationary(target)) > 1e-4


def random_scan(target, kind):
    """The scans' matrices, from the conditionals of ``gibbs`` and from Metropolis."""
    space = states(target)
    p = np.zeros((len(space), len(space)))
    moving = jit(jax.vmap(lambda x: conditionals(target, x)))
    moves = np.asarray(moving(space))[..., 0]
    logs = np.asarray(jit(jax.vmap(lambda x: value(target, x)))(space))
    for site in range(target.sites):
        flipped = space.copy()
        flipped[:, site] = 1 - flipped[:, site]
        to = index(flipped, 2)
        chance = (
            moves[:, site]
            if kind == "gibbs"
            else np.minimum(1, np.exp(logs[to] - logs))
        )
        p[np.arange(len(space)), to] = chance / target.sites
    return p + np.diag(1 - p.sum(1))


TIMES = {  # 3 × 3 torus: (K, sampler) -> IAT of M, of E, in steps
    ("critical", "gibbs"): (765.3, 38.17),
    ("critical", "metropolis"): (544.4, 33.94),
    ("critical", "gwg"): (325.7, 9.071),
    ("critical", "ratio"): (314.6, 9.792),
    ("critical", 0.2): (553.0, 18.97),
    ("critical", 0.4): (288.2, 11.06),
    ("critical", 1.0): (261.3, 13.20),
    ("hot", "gibbs"): (57.69, 18.77),
    ("hot", "gwg"): (26.62, 6.766),
    ("hot", 0.2): (43.35, 13.47),
    ("hot", 0.4): (18.38, 6.752),
    ("hot", 1.0): (14.94, 8.004),
}


QUICK = ("gibbs", "metropolis", "gwg", 0.4)
"""The others differ from these by a balancing function or by a size alone."""


def is_slow(where, sampler):
    return where == "hot" or sampler not in QUICK


@pytest.mark.parametrize(
    ("where", "sampler"),
    [pytest.param(*n, marks=[pytest.mark.slow] * is_slow(*n)) for n in TIMES],
)
def test_autocorrelation_times_are_the_exact_ones(where, sampler):
    target = ising(3, {"critical": CRITICAL, "hot": 0.2}[where])
    if sampler in ("gibbs", "metropolis"):
        p = random_scan(target, sampler)
    elif isinstance(sampler, float):
        kernel = informed(target, moves="factorised")
        p = matrix(target, kernel, by_states(target), size=sampler)
    else:
        kernel = informed(target, "ratio" if sampler == "ratio" else "sqrt")
        p = matrix(target, kernel, by_sites(target, SINGLES))
    pi = stationary(target)
    assert balance(p, pi) < 1e-12
    result = [iat(p, pi, h) for h in statistics(target)]
    np.testing.assert_allclose(result, TIMES[where, sampler], rtol=0.02)


@pytest.mark.parametrize("target", [ising(3, 0.5, field=0.2), ising(4, 0.3)], ids="34")
def test_a_colour_never_interacts_with_itself(target):
    """A conditional of one colour does not change with that colour's other sites."""
    rng = np.random.default_rng(1)
    compiled = jit(lambda x: conditionals(target, x))
    colours = np.array(target.colours)
    x = rng.integers(0, 2, target.sites).astype(np.uint8)
    for colour in set(target.colours):
        other = np.where(colours == colour, rng.integers(0, 2, len(x)), x).astype(
            np.uint8
        )
        odds = [
            np.where(v == 1, -1, 1) * np.log(1 / np.asarray(compiled(v))[:, 0] - 1)
            for v in (x, other)
        ]
        mine = colours == colour
        np.testing.assert_allclose(odds[0][mine], odds[1][mine], atol=1e-9)


def test_a_chromatic_sweep_keeps_its_target():
    target = ising(3, 0.5, field=0.2)
    space, pi = states(target), stationary(target)
    now = pi
    moving = jit(jax.vmap(lambda x: conditionals(target, x)))
    moves = np.asarray(moving(space))[..., 0]
    for colour in sorted(set(target.colours)):
        mine = np.flatnonzero(np.array(target.colours) == colour)
        p = np.zeros((len(space), len(space)))
        for flips in product((0, 1), repeat=len(mine)):
            to = space.copy()
            to[:, mine] ^= np.array(flips, np.uint8)
            chance = np.where(np.array(flips) == 1, moves[:, mine], 1 - moves[:, mine])
            p[np.arange(len(space)), index(to, 2)] += chance.prod(1)
        now = now @ p
    np.testing.assert_allclose(now, pi, atol=1e-13)
