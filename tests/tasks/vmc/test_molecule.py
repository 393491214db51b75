"""Molecules from names, files and text, and one clear line for every mistake."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.molecules.elements import SYMBOLS
from heliostat_tasks.vmc.molecules.geometries import BOHR, BUILTIN
from heliostat_tasks.vmc.molecules.nuclei import CLOSEST

GROUND = {
    "H": (1, 0),
    "He": (1, 1),
    "Li": (2, 1),
    "Be": (2, 2),
    "B": (3, 2),
    "C": (4, 2),
    "N": (5, 2),
    "O": (5, 3),
    "F": (5, 4),
    "Ne": (5, 5),
    "H2": (1, 1),
    "H4": (2, 2),
    "LiH": (2, 2),
    "Li2": (3, 3),
    "N2": (7, 7),
    "CO": (7, 7),
    "H2O": (5, 5),
    "NH3": (5, 5),
    "CH4": (5, 5),
}
"""(n_up, n_down) of the ground states of light atoms and of all built-in molecules."""

BONDS = {"H2": 1.4, "LiH": 3.015, "Li2": 5.051, "N2": 2.068, "CO": 2.173}
"""Bond lengths in bohr that the exact energies belong to."""


def test_builtins_are_those_promised():
    assert set(BUILTIN) == set(GROUND) | set(SYMBOLS)


@pytest.mark.parametrize("name", GROUND)
def test_builtin_has_its_ground_state_and_a_source(name):
    m = Molecule.parse(name)
    assert (m.n_up, m.n_down) == GROUND[name]
    assert not m.remarks
    assert m.charge == 0
    assert m.electrons == sum(m.charges)
    assert m.name == name
    assert BUILTIN[name].source


@pytest.mark.parametrize("name", BONDS)
def test_diatomic_has_the_length_of_its_published_energy(name):
    (_, _, length), *rest = Molecule.parse(name).pairs()
    assert length == pytest.approx(BONDS[name], rel=1e-12)
    assert not rest


def test_methane_is_tetrahedral():
    """Four bonds of 1.18886 √3 bohr, and cos of every H-C-H angle is −1/3."""
    carbon, *hydrogens = Molecule.parse("CH4").positions
    assert carbon == (0, 0, 0)
    for h in hydrogens:
        assert math.hypot(*h) == pytest.approx(1.18886 * math.sqrt(3), rel=1e-12)
    dots = {
        sum(a * b for a, b in zip(g, h, strict=True))
        for g in hydrogens
        for h in hydrogens
        if g != h
    }
    assert sorted(dots) == pytest.approx([-(1.18886**2)] * len(dots))


def test_h4_sits_on_its_circle():
    places = Molecule.parse("H4").positions
    assert all(math.hypot(*p) == pytest.approx(1.738 / BOHR, rel=1e-10) for p in places)


@pytest.mark.parametrize("name", BUILTIN)
def test_canonical_text_round_trips(name):
    m = Molecule.parse(name)
    again = Molecule.parse(m.text(), charge=m.charge, spin=m.spin, unit="bohr")
    assert again == m
    assert hash(again) == hash(m)
    assert again.text() == m.text()


def test_nuclear_repulsion_of_water_by_hand():
    m = Molecule.parse("H2O")
    oh = math.hypot(1.426334, 0.98528929 + 0.12416437)
    assert m.nuclear_repulsion() == pytest.approx(16 / oh + 1 / (2 * 1.426334))


def test_file_inline_and_bohr_agree(tmp_path):
    file = tmp_path / "any name.xyz"
    file.write_text("2\nlithium hydride\nLi 0 0 0\nH  0 0 1.595  0.3\n\n")
    inline = Molecule.parse("Li 0 0 0; H 0 0 1.595")
    assert Molecule.parse(str(file)) == inline
    assert Molecule.parse("Li 0 0 0\nH, 0, 0, 1.595\n", unit="angstrom") == inline
    assert Molecule.parse(f"Li 0 0 0;H 0 0 {1.595 / BOHR!r}", unit="bohr") == inline
    assert inline.positions[1][2] == pytest.approx(3.01411, abs=1e-5)


def test_file_in_bohr(tmp_path):
    file = tmp_path / "h2.xyz"
    file.write_text("2\n\nH 0 0 0\nH 0 0 1.4\n")
    assert Molecule.parse(str(file), unit="bohr") == Molecule.parse("H2")


def test_minus_zero_is_zero():
    """One place has one spelling, so that a run has one identity."""
    assert Molecule.parse("H -0.0 0 0").text() == "H 0.0 0.0 0.0"


@pytest.mark.parametrize(
    ("text", "charge", "spin", "electrons"),
    [
        ("N", 0, None, (5, 2)),
        ("N", 0, 1, (4, 3)),
        ("N", 1, None, (4, 2)),
        ("N", -1, 2, (5, 3)),
        ("N 0 0 0", 0, None, (5, 2)),
        ("H2", 1, None, (1, 0)),
        ("He", 0, 2, (2, 0)),
        ("Ar 0 0 0", 0, None, (9, 9)),
    ],
)
def test_charge_and_spin_deal_the_electrons(text, charge, spin, electrons):
    m = Molecule.parse(text, charge=charge, spin=spin)
    assert (m.n_up, m.n_down) == electrons
    assert m.charge == charge


@pytest.mark.parametrize(
    ("text", "charge", "name"),
    [
        ("H 0 0 0; H 0 0 0.9; O 0 0.7 0.4", 0, "H2O"),
        ("Li", 1, "Li+"),
        ("O", -2, "O-2"),
    ],
)
def test_names_are_formulas(text, charge, name):
    assert Molecule.parse(text, charge=charge).name == name


MISTAKES = [
    ("lih", {}, r"unknown molecule 'lih'; did you mean 'LiH'\?"),
    ("NH4", {}, r"unknown molecule 'NH4'; did you mean '\w+'\?"),
    ("Xyzzy", {}, r"unknown molecule 'Xyzzy' \(built in: atoms H to Kr, H2"),
    ("", {}, "no molecule given"),
    (" ; ", {}, "no molecule given"),
    ("Qq 0 0 0", {}, "nucleus 1: unknown element 'Qq'"),
    ("H 0 0 0; Lj 0 0 9", {}, r"nucleus 2: unknown element 'Lj'; did you mean '\w+'\?"),
    ("H 0 0", {}, "nucleus 1 must be 'symbol x y z' .* got 'H 0 0'"),
    ("H 0 0 0 0", {}, "nucleus 1 must be 'symbol x y z'"),
    ("H 0 0 0; H 0 0 1.4x", {}, "nucleus 2: '1.4x' is not a number"),
    ("H 0 0 nan", {}, "nucleus 1: 'nan' is not a number; give finite"),
    ("H 0 1e308 0", {}, "nucleus 1: coordinate '1e308' must be finite"),
    ("H 0 0 0; He 0 0 0", {}, r"nuclei 1 \(H\) and 2 \(He\) are too close"),
    ("H 0 0 0; H 0 0 0.09", {"unit": "bohr"}, "0.09 bohr, expected at least 0.1"),
    ("Li", {"spin": 2}, "spin 2 does not fit 3 electrons.*must be odd; set spin to 1"),
    ("H2", {"spin": 1}, "spin 1 does not fit 2 electrons.*must be even"),
    ("LiH", {"charge": 1, "spin": 0}, "spin 0 does not fit 3 electrons"),
    ("H", {"spin": 3}, "spin 3 needs at least 3 electrons but there are 1"),
    ("H2", {"spin": -2}, "spin must be n_up - n_down >= 0, got -2"),
    ("H", {"charge": 1}, "charge 1 leaves 0 electrons"),
    ("He", {"charge": 5}, "charge 5 leaves -3 electrons"),
    ("H 0 0 0", {"unit": "Bohrs"}, r"unknown unit 'Bohrs'; did you mean 'bohr'\?"),
    ("H2", {"unit": "angstrom"}, "unit 'angstrom' does not apply to built-in 'H2'"),
    ("missing.xyz", {}, "cannot read molecule file 'missing.xyz': No such file"),
    ("no/such/file", {}, "cannot read molecule file 'no/such/file': No such file"),
]


@pytest.mark.parametrize(("text", "options", "message"), MISTAKES)
def test_mistakes_are_told_in_one_line(text, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        Molecule.parse(text, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


FILES = [
    ("", "line 1 must be the number of nuclei, got ''"),
    ("H 0 0 0\n", "line 1 must be the number of nuclei, got 'H 0 0 0'"),
    ("0\n\n", "line 1 must be the number of nuclei, got '0'"),
    ("3\n\nH 0 0 0\nH 0 0 1\n", "line 1 announces 3 nuclei but 2 lines follow"),
    ("1\n\nH 0 0 0\nH 0 0 1\n", "line 1 announces 1 nuclei but line 4 follows them"),
    ("2\n\nH 0 0 0\nH 0 0 O\n", "line 4: 'O' is not a number"),
    ("2\n\nH 0 0 0\nQq 0 0 1\n", "line 4: unknown element 'Qq'"),
    ("1\n\nH 0 0\n", "line 3 must be 'symbol x y z'"),
    ("1\n\nH 0 0 inf\n", "line 3: 'inf' is not a number; give finite"),
]


@pytest.mark.parametrize(("content", "message"), FILES)
def test_mistakes_in_files_name_file_and_line(tmp_path, content, message):
    file = tmp_path / "bad.xyz"
    file.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        Molecule.parse(str(file))
    assert "bad.xyz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "binary.xyz").write_bytes(b"\x89PNG\x00\x81")
    with pytest.raises(ValueError, match="not a text file"):
        Molecule.parse(str(tmp_path / "binary.xyz"))
    with pytest.raises(ValueError, match=r"cannot read molecule file .*directory"):
        Molecule.parse(str(tmp_path))


coordinate = st.floats(-100, 100)
nuclei = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), coordinate, coordinate, coordinate),
    min_size=1,
    max_size=5,
)


@given(nuclei, st.integers(0, 3))
def test_any_molecule_round_trips_exactly(nuclei, pairs):
    """``text`` keeps every bit of every coordinate, and charge and spin the rest."""
    places = [place for _, *place in nuclei]
    near = [math.dist(a, b) for i, a in enumerate(places) for b in places[:i]]
    assume(all(distance >= CLOSEST for distance in near))
    text = "; ".join(f"{s} {x!r} {y!r} {z!r}" for s, x, y, z in nuclei)
    electrons = sum(SYMBOLS.index(s) + 1 for s, *_ in nuclei)
    spin = min(electrons, electrons % 2 + 2 * pairs)
    m = Molecule.parse(text, spin=spin, unit="bohr")
    assert [list(p) for p in m.positions] == places
    assert m.spin == spin
    again = Molecule.parse(m.text(), charge=m.charge, spin=m.spin, unit="bohr")
    assert again == m
