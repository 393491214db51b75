"""Targets against exact values: enumerations, transfer matrices, closed forms.

Values are those of independent computations (two ways each) unless a line says else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.enumeration import enumerated

from heliostat.kernels import (
    curie_weiss,
    ebm,
    fhmm,
    independent,
    ising,
    pairwise,
    potts,
)
from heliostat.kernels.discrete.densities import (
    residual_network,
    sine_observations,
    sine_rbm,
)
from heliostat.kernels.discrete.lattices import erdos_renyi, greedy_colouring
from heliostat.kernels.discrete.target import (
    Target,
    alternatives,
    checked_state,
    exact_gains,
    value,
    value_and_gains,
)
from heliostat.kernels.discrete.validate import check_target
from heliostat.system.jit import jit
from heliostat_tasks.discrete.exact import curie_weiss_energy, torus_energy, torus_log_z

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize(
    ("visible", "hidden", "scale", "log_z", "first", "total", "mean"),
    [
        (12, 8, 1, 16.6805054165, 0.78943998, 6.20564744, 10.04789417),
        (12, 8, 2, 26.3234483475, 0.98369707, 6.41088475, 23.24123843),
        (16, 10, 1.5, 34.0177568693, 0.98594298, 8.60391638, 29.69604747),
    ],
)
def test_rbm_values(visible, hidden, scale, log_z, first, total, mean):
    states, logs, result, chances = enumerated(sine_rbm(visible, hidden, scale))
    means = chances @ states
    assert result == pytest.approx(log_z, abs=1e-9)
    np.testing.assert_allclose(
        [means[0], means.sum(), chances @ logs], [first, total, mean], atol=1e-7
    )


@pytest.mark.parametrize("multilinear", [True, False])
def test_fhmm_values(multilinear):
    target = fhmm(sine_observations(4, 3), multilinear)
    states, _, log_z, chances = enumerated(target)
    assert log_z == pytest.approx(-2.7924607559, abs=1e-9)
    assert (chances @ states).sum() == pytest.approx(3.06110119, abs=1e-7)


@pytest.mark.parametrize(
    ("states", "coupling", "log_z", "energy"),
    [(3, 0.5, 13.517143942, -0.99317157), (3, 1.00505254, 19.688939732, -1.74212221)],
)
def test_potts_values(states, coupling, log_z, energy):
    target = potts(3, states, coupling)
    _, logs, result, chances = enumerated(target)
    assert result == pytest.approx(log_z, abs=2e-7)
    assert -chances @ logs / coupling / 9 == pytest.approx(energy, abs=1e-7)


def test_potts_of_two_values_is_ising():
    x = jnp.array(np.random.default_rng(0).integers(0, 2, 25), jnp.uint8)
    bonds = 50
    current = value(ising(5, 0.4), x)
    assert float(value(potts(5, 2, 0.8), x)) == pytest.approx(
        float(current + 0.4 * bonds)
    )


@pytest.mark.parametrize("size", [3, 4])
def test_enumerated_torus_has_kaufmans_log_z_and_energy(size):
    _, logs, log_z, chances = enumerated(ising(size, 0.3))
    assert torus_log_z(size, 0.3) == pytest.approx(log_z, abs=1e-10)
    energy = -chances @ logs / 0.3 / size**2
    assert torus_energy(size, 0.3) == pytest.approx(energy, abs=1e-9)


@pytest.mark.parametrize(
    ("size", "coupling", "log_z", "energy"),
    [
        (8, 0.2, 0.7345335535, -0.42836806),
        (8, 0.4, 0.8843654494, -1.22232064),
        (8, 0.440686793509772, 0.9397153248, -1.49158911),
        (10, 0.5, 1.0327297542, -1.74543102),
        (16, 0.4, 0.8798001826, -1.13131799),
        (64, 0.4, 0.8793638353, -1.10608299),
    ],
)
def test_larger_tori(size, coupling, log_z, energy):
    assert torus_log_z(size, coupling) / size**2 == pytest.approx(log_z, abs=1e-10)
    assert torus_energy(size, coupling) == pytest.approx(energy, abs=2e-8)


def test_controls_know_their_normalisation():
    for target in (
        curie_weiss(10, 0.7),
        independent([0.3, -1.0, 2.0]),
        independent(np.arange(8.0).reshape(4, 2)),
        independent(np.sin(np.arange(12.0)).reshape(4, 3)),
    ):
        _, logs, log_z, chances = enumerated(target)
        if target.values == 2 and target.sites == 4:
            continue  # of two columns only the difference is kept
        assert target.log_z == pytest.approx(log_z, abs=1e-10)
    _, logs, _, chances = enumerated(curie_weiss(10, 0.7))
    assert curie_weiss_energy(10, 0.7) == pytest.approx(-chances @ logs / 10)


J = erdos_renyi(9, 3, seed=1)
TARGETS = {
    "ising": ising(3, 0.4, field=0.2),
    "ising in fields": ising(3, 0.4, np.sin(np.arange(9.0))),
    "graph": pairwise(J, 0.3),
    "potts": potts(3, 3, 0.7),
    "rbm": sine_rbm(9, 4, 1.5),
    "fhmm": fhmm(sine_observations(3, 3)),
    "curie-weiss": curie_weiss(9, 0.5),
    "independent": independent(np.sin(np.arange(27.0)).reshape(9, 3)),
}


@pytest.mark.parametrize("name", TARGETS)
def test_gains_equal_differences_of_log_p(name):
    """Closed forms and, of multilinear targets, Taylor's, against plain evaluation."""
    target = TARGETS[name]
    plain = jit(lambda x: value(target, x))
    gains = jit(lambda x: (exact_gains(target, x), value_and_gains(target, x)[1]))
    rng = np.random.default_rng(2)
    for x in rng.integers(0, target.values, (5, 9)).astype(np.uint8):
        slow = np.zeros((9, target.values - 1))
        moved = np.asarray(alternatives(jnp.array(x), target.values))
        for site, move in np.ndindex(slow.shape):
            y = x.copy()
            y[site] = moved[site, move]
            slow[site, move] = plain(y) - plain(x)
        exact, taylor = gains(x)
        np.testing.assert_allclose(exact, slow, atol=1e-12)
        if target.multilinear:
            np.testing.assert_allclose(taylor, slow, atol=1e-12)


def test_moves_k_and_mirrored_k_are_inverse():
    x = jnp.array([0, 1, 2, 4], jnp.uint8)
    moved = alternatives(x, 5)
    for move in range(4):
        back = alternatives(moved[:, move], 5)[:, 3 - move]
        assert (back == x).all()


def test_an_fhmm_as_coded_elsewhere_has_other_gains_but_the_same_density():
    x = jnp.array(np.random.default_rng(3).integers(0, 2, 9), jnp.uint8)
    one, other = (
        fhmm(sine_observations(3, 3)),
        fhmm(sine_observations(3, 3), multilinear=False),
    )
    (current, gains), (same, others) = (
        jit(lambda x, target=target: value_and_gains(target, x))(x)
        for target in (one, other)
    )
    assert float(current) == pytest.approx(float(same))
    gap = gains - others
    weights = np.tile(sine_observations(3, 3).weights, 3)
    np.testing.assert_allclose(gap[:, 0], -(weights**2) / (2 * 0.5**2), atol=1e-12)


def test_colours_separate_neighbours():
    j = erdos_renyi(60, 5, seed=4)
    colours = np.array(greedy_colouring(j))
    assert not (colours[:, None] == colours)[j != 0].any()
    assert len(set(colours)) <= (j != 0).sum(1).max() + 1


@pytest.mark.slow
def test_a_network_is_a_target():
    target = ebm(residual_network(jax.random.key(0), 12))
    f, gains = value_and_gains(target, jnp.zeros(12, jnp.uint8))
    assert np.isfinite(f) and gains.shape == (12, 1)


WRONG = {
    "expected a scalar": lambda x: x,
    "is NaN at": lambda x: jnp.sum(x) * jnp.nan,
    "is \\+inf at": lambda x: jnp.sum(x) + jnp.inf,
    "expected a start that is possible": lambda x: jnp.sum(x) - jnp.inf,
    "fails at a state": lambda x: x @ jnp.zeros((3, 3)),
    "expected a scalar float": lambda x: jnp.argmax(x),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_target_is_refused(message):
    states = np.random.default_rng(0).integers(0, 2, (8, 5), np.uint8)
    with pytest.raises(ValueError, match=message):
        check_target(Target(WRONG[message], 5), states)


def test_wrong_states_and_couplings_are_refused():
    target = potts(3, 3, 0.5)
    with pytest.raises(
        ValueError, match="3 at site 2: expected whole numbers from 0 to 2"
    ):
        checked_state(target, [0, 1, 3] + [0] * 6)
    with pytest.raises(ValueError, match="expected \\(9,\\)"):
        checked_state(target, [0, 1])
    with pytest.raises(ValueError, match="not symmetric: J\\[0, 1\\] = 1 but"):
        pairwise([[0, 1.0], [0.5, 0]])
    with pytest.raises(ValueError, match="diagonal"):
        pairwise(np.eye(2))
    with pytest.raises(ValueError, match="square"):
        pairwise(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="finite"):
        pairwise([[0, np.nan], [np.nan, 0]])
    with pytest.raises(ValueError, match="3 or more"):
        ising(2, 0.4)


@pytest.mark.parametrize(
    ("density", "remedy"),
    [
        (lambda x: np.sin(x).sum(), "jnp in place of np"),
        (lambda x: 1.0 if x[0] > 0 else 0.0, r"jnp.where\(condition, a, b\) for if"),
        (lambda x: [0.5, 1.0][x[0].astype(int)], "jnp.take or x @ table"),
        (lambda x: float(x.sum()), "compute with jax.numpy alone"),
    ],
)
def test_a_density_that_jax_cannot_trace_is_answered_with_the_remedy(density, remedy):
    with pytest.raises(ValueError, match=remedy) as caught:
        check_target(Target(density, sites=3), np.zeros((2, 3), np.uint8))
    assert "\n" not in str(caught.value) and "Tracer" not in str(caught.value)
