"""Orbitals that start as those of Hartree-Fock."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heliostat as hs
from heliostat.system.jit import jit
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.wavefunction.electrons import describe_electrons
from heliostat_tasks.vmc.wavefunction.heads.choice import resolve
from heliostat_tasks.vmc.wavefunction.orbitals import Orbitals
from heliostat_tasks.vmc.wavefunction.projection import project


def fitted(name):
    """Molecule, orbitals of spin up at points, and those of PySCF there."""
    molecule = Molecule.parse(name)
    orbitals = Orbitals(molecule.charges, molecule.n_up, molecule.n_down, 4)
    points = np.random.default_rng(0).normal(size=(400, 3)) * 1.5
    charges = jnp.asarray(molecule.charges, float)
    one = describe_electrons(
        jnp.asarray(points), jnp.asarray(molecule.positions), charges, 0
    )
    values = orbitals.basis(orbitals.first_exponents(float), one)
    ours = (values * jnp.exp(-one.u @ charges)[:, None]) @ project(molecule, orbitals)[
        0
    ]
    field = hartree_fock(molecule).field
    coefficients = field.mo_coeff[0] if field.istype("UHF") else field.mo_coeff
    theirs = field.mol.eval_gto("GTOval", points) @ coefficients[:, : molecule.n_up]
    return ours, theirs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Li", "N"])
def test_the_fit_follows_hartree_fock(x64, name):
    ours, theirs = fitted(name)
    np.testing.assert_allclose(ours, theirs, atol=0.03)
    assert np.mean((ours - theirs) ** 2) < 1e-3 * np.mean(theirs**2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["B", "Ne"])
def test_the_energy_of_the_fit_is_that_of_hartree_fock(x64, name):
    """⟨E_L⟩ of the bare determinant, over a sample of its density.

    The Jastrow factor between electrons is switched off by a tiny β, so that the
    expectation is Hartree-Fock's but for the fit: 12 mHa are allowed, and four errors.
    """
    task = VMC(
        molecule=name,
        head="determinant",
        features=4,
        layers=1,
        attention_heads=1,
        walkers=256,
        train=0,
        burn_in=600,
    )
    data = task.prepare()
    state = jit(lambda key: task.init(key, 0, data))(jax.random.key(0))
    state.params["jastrow"]["beta"] = jnp.full(2, -9.0)
    backflow = state.params["orbitals"]["backflow"]
    state.params["orbitals"]["backflow"] = [0.0 * w for w in backflow]
    step = jit(lambda key, state: task.step(key, state, data))
    energies = []
    for i in range(60):
        state, row = step(jax.random.fold_in(jax.random.key(1), i), state)
        energies.append(float(row["energy"]))
    energies = np.array(energies[20:])
    error = energies.std() / len(energies) ** 0.5
    expected = hartree_fock(task.molecular).field.e_tot
    assert abs(energies.mean() - expected) < 0.012 + 4 * error


@pytest.mark.parametrize(
    ("head", "line"),
    [
        ("determinnt", "did you mean 'determinant'"),
        ("determinant+", "expected one of auto, hybrid"),
        ("sortlet+sortlet", "one name, or two different ones"),
        ("sortlet+smooth+banded", "one name, or two different ones"),
        ("sortlet+auto", "expected one of"),
    ],
)
def test_other_heads_are_refused(head, line):
    with pytest.raises(ValueError, match=line.replace("+", r"\+")):
        VMC(molecule="B", head=head).canonical()


def test_a_head_by_another_name_is_the_same_run():
    assert resolve("auto", 5, 2) == resolve("determinant", 5, 2)
    one, other = VMC(molecule="N"), VMC(molecule="N", head="determinant")
    assert one.canonical() == other.canonical()


def test_a_molecule_too_large_for_hartree_fock_is_refused():
    rows = "; ".join(f"C {2 * i} 0 0" for i in range(12))
    with pytest.raises(hs.RequestError, match=r"of C12 to start from \(216 functions"):
        VMC(molecule=rows, unit="bohr").prepare()
