"""Runs from a trained wavefunction: other geometries, other walkers, evaluation."""

from __future__ import annotations

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat.system.jit import jit
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.parents import matched_nuclei, resampled, shifted
from heliostat_tasks.vmc.phases import EQUILIBRATION

TINY = {"features": 4, "layers": 1, "attention_heads": 2, "terms": 2, "burn_in": 20}
SIZES = TINY | {"walkers": 8, "moves": 3, "unit": "bohr"}


def h2(length, **fields):
    return VMC(molecule=f"H 0 0 0; H 0 0 {length}", **(SIZES | fields))


def stirred(task):
    """A state whose parameters tell equal nuclei apart."""
    state = jit(lambda key: task.init(key, 0, task.prepare()))(jax.random.key(0))
    noise = np.random.default_rng(1)
    stir = lambda leaf: leaf + 0.3 * noise.normal(size=leaf.shape)  # noqa: E731
    return state._replace(params=jax.tree.map(stir, state.params))


def adopted(task, state):
    return jit(lambda state: task.adopt(state, task.prepare()))(state)


def run_here(task, store, **options):
    return hs.run(task, store=store, on="here", progress=silent, **options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose parameters and width of steps have moved."""
    return run_here(
        h2(1.4, train=EQUILIBRATION + 5), tmp_path_factory.mktemp("h"), steps=30
    )


@pytest.fixture
def parent(trained, tmp_path):
    """A copy in the store of the test, which may delete it."""
    shutil.copytree(trained.path.parents[1], tmp_path, dirs_exist_ok=True)
    return hs.open(trained.id, store=tmp_path)


@pytest.mark.slow
def test_a_wavefunction_moves_with_its_nuclei_also_where_their_order_changes(x64):
    """By so little that log|Ψ| stays, although the other nucleus comes first now."""
    one, other = (
        VMC(molecule=f"H {x} 0 0; H {-x} 0 1.4", **SIZES) for x in (-1e-7, 1e-7)
    )
    state = stirred(one)
    start = adopted(other, state)
    nuclei = np.array(other.molecular.positions)
    np.testing.assert_array_equal(np.sign(nuclei[:, 0]), [-1, 1])
    np.testing.assert_array_equal(start.nuclei, nuclei[::-1])
    np.testing.assert_allclose(start.walkers, state.walkers, atol=1e-6)
    before, after = (
        task.logpsi(s, state.walkers) for task, s in ((one, state), (other, start))
    )
    np.testing.assert_allclose(after.log, before.log, atol=1e-5)
    crossed = state._replace(nuclei=start.nuclei[::-1])
    assert abs(one.logpsi(crossed, state.walkers).log - before.log).max() > 0.01


@pytest.mark.slow
def test_an_adopted_state_has_the_energies_of_its_own_walkers_and_nuclei(x64):
    state = stirred(h2(1.4))._replace(pretrain=jnp.int32(7))
    task = h2(2.0, walkers=12, lr=0.1)
    start = adopted(task, state)
    energy = task.local_energy(start, start.walkers)
    np.testing.assert_allclose(start.energies, energy.total, rtol=1e-9)
    assert start.step == start.pretrain == 0 and not start.momentum.any()
    assert start.walkers.shape == (12, 2, 3) and start.width == state.width
    np.testing.assert_array_equal(start.nuclei, task.molecular.positions)


@pytest.mark.parametrize("shift", [0.3, 1.4, 20.0])
def test_a_shifted_molecule_keeps_its_nuclei_and_takes_its_electrons_along(x64, shift):
    """Also where one nucleus arrives at the place of another."""
    random = np.random.default_rng(0)
    charges = np.array([8.0, 1, 1, 1])
    nuclei = jnp.asarray(1.4 * np.eye(4)[:, :3])
    nuclei = nuclei.at[3].set(jnp.array([1.4, 1.4, 0]))
    after = nuclei + shift * jnp.array([[0.0, 1, 0]])
    given = after[jnp.array([0, 3, 1, 2])]
    np.testing.assert_array_equal(matched_nuclei(nuclei, given, charges), after)
    walkers = jnp.asarray(random.normal(size=(5, 3, 3)))
    moved = shifted(walkers, nuclei, after)
    np.testing.assert_allclose(moved - walkers, np.tile([0, shift, 0], (5, 3, 1)))


@pytest.mark.parametrize("count", [1, 3, 8, 11, 24])
def test_resampled_walkers_are_those_of_the_parent_in_even_shares(count):
    walkers = jnp.arange(24.0).reshape(8, 1, 3)
    index = np.asarray(resampled(walkers, count))[:, 0, 0] / 3
    shares = np.bincount(index.astype(int), minlength=8)
    assert len(index) == count and np.ptp(shares) <= 1


@pytest.mark.parametrize(
    ("molecule", "fields", "says"),
    [
        ("He", {}, r"charges \(1, 1\), expected \(2,\)"),
        ("H 0 0 0; He 0 0 1.4", {"charge": 1}, r"charges \(1, 1\), expected \(2, 1\)"),
        ("H2", {"charge": 1}, "electrons of spin down 1, expected 0"),
        ("H2", {"spin": 2}, "electrons of spin up 1, expected 2"),
        ("H2", {"head": "vandermonde"}, "head sortlet, expected vandermonde"),
        ("H2", {"features": 8}, "features 4, expected 8"),
        ("H2", {"attention_heads": 1}, "attention heads 2, expected 1"),
    ],
)
def test_a_wavefunction_of_anything_else_is_refused(molecule, fields, says):
    unit = {"unit": None if molecule == "He" else "bohr"}
    task = VMC(molecule=molecule, **(SIZES | unit | fields))
    with pytest.raises(hs.RequestError, match=says):
        task.check_parent(h2(1.4))


def test_sizes_of_heads_that_are_not_there_may_differ():
    h2(1.4, determinants=2).check_parent(h2(1.4))
    many = {"molecule": "N", "head": "determinant", "unit": None}
    VMC(**(SIZES | many | {"terms": 3})).check_parent(VMC(**(SIZES | many)))


@pytest.mark.slow
def test_a_child_trains_at_its_own_geometry_and_needs_its_parent_no_more(
    parent, tmp_path
):
    task = h2(1.6, train=EQUILIBRATION + 5, walkers=12, lr=0.02)
    about = {"seed": 1, "parent": parent}
    whole = run_here(task, tmp_path / "whole", steps=30, **about)
    part = run_here(task, tmp_path, steps=8, **about)
    hs.remove(parent)
    child = hs.extend(part, steps=30, on="here", progress=silent)
    assert child.record.strides(0, 10) == whole.record.strides(0, 10)
    assert hs.verify(child, segments="all", on="here").status == "ACCEPT"
    update, evaluating = child.rows["update_"].values, child.rows.evaluating.values
    train = slice(EQUILIBRATION, EQUILIBRATION + 5)
    assert (update[train] > 0).all() and not update[:EQUILIBRATION].any()
    assert not evaluating[train].any() and evaluating[EQUILIBRATION + 5 :].all()


@pytest.mark.slow
def test_evaluation_alone_measures_the_trained_wavefunction(parent, tmp_path):
    child = run_here(h2(1.4, train=0, walkers=16), tmp_path, steps=30, parent=parent)
    before, after, rows = parent.state(30), child.state(30), child.rows.load()
    jax.tree.map(np.testing.assert_array_equal, before.params, after.params)
    assert rows.evaluating.values.all() and not rows["update_"].values.any()
    assert (rows.proposal.values == float(before.width)).all()
    for step in child.kept()[1:]:
        state = child.state(step)
        energy = parent.task.local_energy(before, state.walkers).total
        row = rows.energy.sel(step=step)
        np.testing.assert_allclose(row, energy.mean(), rtol=1e-4)
    assert hs.verify(child, segments="all", on="here").status == "ACCEPT"


@pytest.mark.slow
def test_a_potential_curve_is_one_sweep_of_neighbours(tmp_path):
    """H2 over four lengths; a later point starts at the energy of a trained one."""
    molecules = [h2(length).molecule for length in (1.0, 1.4, 2.0, 3.0)]
    task = h2(1.0, train=EQUILIBRATION + 5, walkers=32)
    about = {"over": {"molecule": molecules}, "scheduler": "continuation"}
    curve = hs.sweep(task, steps=50, store=tmp_path, on="here", progress=False, **about)
    assert curve.states == {"done": 4} and len(curve.lineage(curve.cells[-1])) == 4
    energy = curve.summary.energy.values
    assert np.argmin(energy) == 1 and energy.max() < -0.9
    for before, after in zip(curve.cells, curve.cells[1:], strict=False):
        parent, child = curve.runs[before.id], curve.runs[after.id]
        jax.tree.map(
            np.testing.assert_array_equal,
            child.state(0).params,
            parent.state(50).params,
        )
        assert child.rows["update_"].values[EQUILIBRATION] > 0
    assert hs.verify(child, on="here").status == "ACCEPT"
