"""Spins of atoms, ions and molecules whose spin the user leaves open."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.molecules.elements import SYMBOLS
from heliostat_tasks.vmc.molecules.spin import hund

NEUTRAL = """
H 2S  He 1S
Li 2S  Be 1S  B 2P  C 3P  N 4S  O 3P  F 2P  Ne 1S
Na 2S  Mg 1S  Al 2P  Si 3P  P 4S  S 3P  Cl 2P  Ar 1S
K 2S  Ca 1S  Sc 2D  Ti 3F  V 4F  Cr 7S  Mn 6S  Fe 5D  Co 4F  Ni 3F  Cu 2S  Zn 1S
Ga 2P  Ge 3P  As 4S  Se 3P  Br 2P  Kr 1S
"""
"""Ground terms: Kramida et al., NIST Atomic Spectra Database, neutral atoms."""

CATIONS = """
He 2S  Li 1S  Be 2S  B 1S  C 2P  N 3P  O 4S  F 3P  Ne 2P
Na 1S  Mg 2S  Al 1S  Si 2P  P 3P  S 4S  Cl 3P  Ar 2P
K 1S  Ca 2S  Sc 3D  Ti 4F  V 5D  Cr 6S  Mn 7S  Fe 6D  Co 3F  Ni 2D  Cu 1S  Zn 2S
Ga 1S  Ge 2P  As 3P  Se 4S  Br 3P  Kr 2P
"""
"""Ground terms of singly charged ions, from the same database."""

DICATIONS = "Ca 1S  Sc 2D  Ti 3F  V 4F  Cr 5D  Mn 6S  Fe 5D  Co 4F  Ni 3F  Cu 2D  Zn 1S"
"""Ground terms of doubly charged ions, all 3dⁿ, from the same database."""

ANIONS = "H 1S  Li 1S  B 3P  C 4S  O 2P  F 1S  Na 1S  Al 3P  Si 4S  P 3P  S 2P  Cl 1S"
"""Ground terms of stable negative ions: Andersen, Haugen and Hotop, J. Phys. Chem. Ref.
Data 28, 1511 (1999)."""

TERMS = {0: NEUTRAL, 1: CATIONS, 2: DICATIONS, -1: ANIONS}


def terms(charge):
    words = TERMS[charge].split()
    return dict(zip(words[::2], words[1::2], strict=True))


TABLE = [(s, charge, t) for charge in TERMS for s, t in terms(charge).items()]


def test_the_tables_have_every_neutral_atom_and_every_cation_with_electrons():
    assert list(terms(0)) == list(SYMBOLS)
    assert list(terms(1)) == list(SYMBOLS[1:])


@pytest.mark.parametrize(("symbol", "charge", "term"), TABLE)
def test_atoms_and_ions_have_the_multiplicity_of_their_ground_term(
    symbol, charge, term
):
    m = Molecule.parse(symbol, charge=charge)
    assert m.spin + 1 == int(term[0])
    assert not m.remarks


@given(st.integers(1, 36), st.integers(1, 60))
def test_every_spin_fits_its_electrons(nucleus, electrons):
    spin = hund(nucleus, electrons)
    assert 0 <= spin <= min(electrons, 6)
    assert (electrons - spin) % 2 == 0


@pytest.mark.parametrize(("symbol", "charge"), [("C", 0), ("N", 1), ("Fe", 2)])
def test_the_spin_of_an_atom_does_not_depend_on_its_spelling(tmp_path, symbol, charge):
    (tmp_path / "a.xyz").write_text(f"1\n\n{symbol} 0 0 0\n")
    (tmp_path / "charged.xyz").write_text(f"1\ncharge={charge}\n{symbol} 0 0 0\n")
    name = Molecule.parse(symbol, charge=charge)
    assert Molecule.parse(f"{symbol} 0 0 0", charge=charge) == name
    assert Molecule.parse(f" {symbol.lower()} 0,0,0 ;", charge=charge) == name
    assert Molecule.parse(str(tmp_path / "a.xyz"), charge=charge) == name
    assert Molecule.parse(str(tmp_path / "charged.xyz")) == name
    shifted = Molecule.parse(f"{symbol} 1 2 3", charge=charge)
    assert (shifted.n_up, shifted.n_down) == (name.n_up, name.n_down)


ASSUMED = "2S_z = {} is assumed, the lowest; --spin sets it"


@pytest.mark.parametrize(
    ("text", "options", "spin", "remarks"),
    [
        ("O 0 0 0; O 0 0 1.2", {}, 0, (ASSUMED.format(0),)),
        ("N 0 0 0; O 0 0 1.15", {}, 1, (ASSUMED.format(1),)),
        ("LiH", {"charge": 1}, 1, (ASSUMED.format(1),)),
        ("O 0 0 0; O 0 0 1.2", {"spin": 2}, 2, ()),
        ("LiH", {}, 0, ()),
        ("H 0 0 0; H 0 0 1.4", {"unit": "bohr"}, 0, ()),  # the built-in, spelled out
        ("H2", {"charge": 1}, 1, ()),  # one electron has no other
    ],
)
def test_an_assumed_spin_is_remarked(text, options, spin, remarks):
    m = Molecule.parse(text, **options)
    assert m.spin == spin
    assert m.remarks == remarks


def test_remarks_belong_to_no_identity():
    assumed = Molecule.parse("O 0 0 0; O 0 0 1.2")
    given = Molecule.parse("O 0 0 0; O 0 0 1.2", spin=0)
    assert assumed.remarks != given.remarks
    assert assumed == given
    assert hash(assumed) == hash(given)


def test_the_energy_of_a_run_says_what_was_assumed():
    columns = {"energy": -1.0, "variance": 0.1, "evaluating": 0}
    rows = xr.Dataset({n: ("step", np.full(20, value)) for n, value in columns.items()})
    task = VMC(molecule="O 0 0 0; O 0 0 1.2")
    assert task.headline(rows)["energy"].note == ASSUMED.format(0)
    assert VMC(molecule="O").headline(rows)["energy"].note == ""
