"""Hartree-Fock: orbitals that first guesses of runs are taken from."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

pytest.importorskip("pyscf")

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
