"""Hartree-Fock: orbitals that first guesses of runs are taken from."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

pytest.importorskip("pyscf")

from heliostat_tasks.vmc.chemistry import hartree_fock as module
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule

DIGEST = """
import hashlib
import numpy as np
from heliostat_tasks.vmc.chemistry.hartree_fock import hartree_fock
from heliostat_tasks.vmc.molecules import Molecule
for atom in "BCNO":
    orbitals = np.asarray(hartree_fock(Molecule.parse(atom)).field.mo_coeff)
    print(atom, hashlib.sha256(orbitals.tobytes()).hexdigest())
"""


def squares(field) -> np.ndarray:
    """⟨x²⟩, ⟨y²⟩ and ⟨z²⟩ of the electrons of each spin, ``(2, 3)`` bohr²."""
    matrices = field.mol.intor("int1e_rr")[[0, 4, 8]]
    return np.einsum("kab,sba->sk", matrices, field.make_rdm1())


def test_threads_do_not_change_the_bits_of_orbitals():
    """The open shell of boron has no direction: rounding would choose one."""
    boron = Molecule.parse("B")
    with threadpool_limits(1):
        one = hartree_fock.__wrapped__(boron).field
    with threadpool_limits(2):
        two = hartree_fock.__wrapped__(boron).field
    np.testing.assert_array_equal(one.mo_coeff, two.mo_coeff)
    up, _ = squares(one)
    assert up[2] > 1.5 * up[0] == pytest.approx(1.5 * up[1], rel=1e-4)


@pytest.mark.parametrize("length", [1.4, 4.0])
def test_instabilities_are_followed_to_the_lowest_energy(length):
    """Hydrogen breaks its symmetry between 2 and 3 bohr, and is stable either way."""
    molecule = Molecule.parse(f"H 0 0 0; H 0 0 {length}", unit="bohr")
    solution = hartree_fock(molecule)
    assert solution.note == ""
    assert bool(solution.field.istype("UHF")) == (length > 2)
    assert solution.field.stability(return_status=True)[2]


def test_a_saddle_is_left():
    """Lithium in 1s²2p is stationary, by symmetry, and 68 mHa above 1s²2s."""
    from pyscf import gto, scf

    mol = gto.M(atom="Li 0 0 0", spin=1, basis="cc-pvdz", verbose=0)
    ground = scf.UHF(mol).run()
    occupied = ground.mo_occ.copy()
    occupied[0, 1:3] = 0, 1
    excited = scf.addons.mom_occ(scf.UHF(mol), ground.mo_coeff, occupied)
    excited.run(ground.make_rdm1(ground.mo_coeff, occupied), conv_tol=1e-11)
    saddle = scf.UHF(mol)
    for name in ("mo_coeff", "mo_occ", "mo_energy", "e_tot", "converged"):
        setattr(saddle, name, getattr(excited, name))
    assert saddle.e_tot > ground.e_tot + 0.06
    lower, stable = module._stabilised(saddle)
    assert stable
    assert lower.e_tot == pytest.approx(ground.e_tot, abs=1e-6)


def test_an_unfollowed_instability_is_noted(monkeypatch):
    monkeypatch.setattr(module, "FOLLOWED", 0)
    solution = hartree_fock.__wrapped__(Molecule.parse("Li"))
    assert solution.note == "not stable: a lower solution may exist"


@pytest.mark.slow
def test_processes_of_one_and_two_threads_give_the_same_bits():
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n},
            stdout=subprocess.PIPE,
        )
        for n in "12"
    ]
    one, two = (process.communicate(timeout=200)[0] for process in processes)
    assert len(one.splitlines()) == 4
    assert one == two
