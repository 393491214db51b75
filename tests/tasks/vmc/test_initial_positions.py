"""Electrons start where Hartree-Fock puts them, in any order of the nuclei."""

from __future__ import annotations

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.kernels.vmc.metropolis import metropolis_sweep
from heliostat.kernels.vmc.proposals import Nuclei
from heliostat.system.jit import jit
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.chemistry.populations import populations
from heliostat_tasks.vmc.initial_positions import assign_electrons
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.wavefunction.evaluation import wavefunction

SMALL = st.floats(-3, 3)


def counts(molecule):
    """Electrons of each spin per nucleus, as assigned."""
    positions, up = np.array(molecule.positions), molecule.n_up
    places = assign_electrons(positions, populations(molecule), up, molecule.n_down)
    size = len(positions)
    return [np.bincount(s, minlength=size).tolist() for s in (places[:up], places[up:])]


def inline(lines, **fields):
    return VMC(molecule="; ".join(lines), unit="bohr", **fields)


def test_two_hydrogen_molecules_start_alike_in_every_order_of_lines():
    """One run, one start; each of both molecules has one electron of each spin."""
    lines = ["H 0 0 0", "H 0 0 20", "H 1.4 0 0", "H 1.4 0 20"]
    tasks = [inline(order) for order in permutations(lines)]
    assert len({task.canonical()["molecule"] for task in tasks}) == 1
    starts = {str(task.prepare().centres.tolist()) for task in tasks}
    assert len(starts) == 1
    up, down = np.split(tasks[0].prepare().centres[:, 2], 2)
    assert sorted(up) == sorted(down) == [0, 20]


NUCLEI = st.lists(
    st.tuples(st.sampled_from(["H", "He", "C"]), *[st.integers(-2, 2)] * 3),
    min_size=1,
    max_size=6,
    unique_by=lambda nucleus: nucleus[1:],
)


@given(NUCLEI.flatmap(lambda n: st.tuples(st.just(n), st.permutations(n))))
def test_permuted_nuclei_are_one_molecule(orders):
    """Its id, its Hartree-Fock calculation and its start do not depend on the order."""
    given, permuted = (
        Molecule.parse("; ".join(" ".join(map(str, n)) for n in order), unit="bohr")
        for order in orders
    )
    assert given.ordered().text() == permuted.ordered().text()
    assert sorted(given.ordered().positions) == sorted(given.positions)


@st.composite
def hydrogen_molecules(draw):
    """H2 units of random direction on a line, 8 bohr apart, their nuclei shuffled."""
    units = draw(st.integers(1, 5))
    seed = draw(st.integers(0, 2**16))
    random = np.random.default_rng(seed)
    axes = random.normal(size=(units, 3))
    axes *= 0.7 / np.linalg.norm(axes, axis=1, keepdims=True)
    centres = 8.0 * np.arange(units)[:, None] * np.array([[1.0, 0, 0]])
    nuclei = np.concatenate([centres - axes, centres + axes])
    order = random.permutation(2 * units)
    return nuclei[order], (np.arange(2 * units) % units)[order]


@given(hydrogen_molecules())
@settings(max_examples=50)
def test_no_hydrogen_molecule_gets_two_electrons_of_one_spin(molecules):
    nuclei, unit = molecules
    n = len(nuclei) // 2
    assigned = assign_electrons(nuclei, np.full((2, 2 * n), 0.5), n, n)
    assert sorted(assigned) == list(range(2 * n))
    assert sorted(unit[assigned[:n]]) == sorted(unit[assigned[n:]]) == list(range(n))


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.tuples(
            st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=n, max_size=n),
            st.lists(st.floats(0, 4), min_size=2 * n, max_size=2 * n),
        )
    )
)
def test_rounding_keeps_the_numbers_of_both_spins(case):
    nuclei, values = np.array(case[0]), np.array(case[1]).reshape(2, -1)
    up, down = (int(v) for v in np.round(values.sum(axis=1)))
    assigned = assign_electrons(nuclei, values, up, down)
    assert len(assigned) == up + down
    assert all(0 <= i < len(nuclei) for i in assigned)
    assert (np.diff(assigned[:up]) >= 0).all() and (np.diff(assigned[up:]) >= 0).all()


def test_spins_of_a_chain_alternate():
    """Ten hydrogens, half an electron of each spin at each: up, down, up, ..."""
    nuclei = np.array([[1.8 * i, 0.0, 0.0] for i in range(10)])
    assigned = assign_electrons(nuclei, np.full((2, 10), 0.5), 5, 5)
    assert assigned.tolist() == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("fields", "up", "down"),
    [
        ({"text": "H2"}, [1, 0], [0, 1]),
        ({"text": "H2", "spin": 2}, [1, 1], [0, 0]),
        ({"text": "H2", "charge": 1}, [1, 0], [0, 0]),
        ({"text": "H 0 0 0; H 0 0 12", "unit": "bohr"}, [1, 0], [0, 1]),
        pytest.param(
            {"text": "O 0 0 0; O 0 0 1.21", "spin": 2},
            [5, 4],
            [3, 4],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"text": "O 0 0 0; H 0 0 0.97", "charge": -1},
            [5, 0],
            [4, 1],
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_electrons_start_where_hartree_fock_has_them(fields, up, down):
    assert counts(Molecule.parse(**fields).ordered()) == [up, down]


def test_populations_of_lithium_hydride():
    """Both spins alike; about a third of an electron has left lithium (meta-Löwdin)."""
    values = populations(Molecule.parse("LiH"))
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_allclose(values.sum(axis=1), 2, atol=1e-9)
    assert 1.0 < values[0, 0] < 1.4


def test_without_hartree_fock_a_nucleus_gets_electrons_by_its_charge():
    """Eight Kr and a He have too many functions for Hartree-Fock."""
    text = "; ".join(f"Kr 0 0 {7 * i}" for i in range(8))
    molecule = Molecule.parse(f"{text}; He 0 0 70", unit="bohr").ordered()
    with pytest.raises(MemoryError):
        hartree_fock(molecule)
    assert counts(molecule) == [[18] * 8 + [1]] * 2


def share(walkers):
    """Fraction of walkers with one electron of each spin at each of two molecules."""
    first = np.asarray(walkers)[:, :, 2] < 10
    return ((first[:, :2].sum(1) == 1) & (first[:, 2:].sum(1) == 1)).mean()


@pytest.mark.slow
def test_walkers_leave_the_worst_start():
    """Both up electrons at one H2 and both down ones at the other, all walkers alike.

    With the first guess of the wavefunction all end with one of each at each, as those
    of the right start do; small steps alone would never lead there.
    """
    task = inline(["H 0 0 0", "H 1.4 0 0", "H 0 0 20", "H 1.4 0 20"], walkers=256)
    data = task.prepare()
    worst = np.array([[0, 0, 0], [1.4, 0, 0], [0, 0, 20.0], [1.4, 0, 20]])

    @jit
    def settled(data):
        state = task.init(jax.random.key(0), 0, data)
        nuclei = Nuclei(jnp.asarray(data.nuclei, float), jnp.ones(4))

        def logpsi(x):
            return wavefunction(task.ansatz, state.params, x, data).log

        key, width = jax.random.key(1), state.width
        return metropolis_sweep(logpsi, key, state.walkers, width, 300, nuclei, 2)[0]

    assert share(settled(data)) > 0.98
    assert share(settled(data._replace(centres=worst))) > 0.98
