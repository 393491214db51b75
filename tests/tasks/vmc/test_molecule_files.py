"""Files of molecules as chemists have them, and one clear line for those that fail."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.molecules.elements import SYMBOLS

LIH = Molecule.parse("Li 0 0 0; H 0 0 1.595")
ROWS = "Li 0 0 0\nH 0 0 1.595\n"


@pytest.fixture
def file(tmp_path):
    """Write a file of text or bytes, and return its path."""

    def write(content: str | bytes, name: str = "a.xyz") -> str:
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(data)
        return str(path)

    return write


QM9 = (
    "2\ngdb 5\t44.6\t0.\t0.\t2.7\t6.2\t-0.27\t0.01\t0.28\t59\t0.01\t-93\t6\t\n"
    "Li\t 0.\t 0.0*^0\t 0\t-0.3\nH\t 0\t-0.\t 159.5*^-2\t 0.3\n"
    "1405.3\nC#N\tC#N\t\nInChI=1S/CHN/c1-2/h1H\tInChI=1S/CHN/c1-2/h1H\n"
)

SAME = {
    "plain": f"2\n\n{ROWS}",
    "carriage returns": f"2\n\n{ROWS}".replace("\n", "\r\n"),
    "old macintosh": f"2\n\n{ROWS}".replace("\n", "\r"),
    "byte order mark": f"2\n\n{ROWS}".encode("utf-8-sig"),
    "utf-16": f"2\n\n{ROWS}".encode("utf-16"),
    "latin-1": f"2\nd = 1.6 \xc5 \x85\n{ROWS}".encode("latin-1"),
    "no last newline": f"2\n\n{ROWS}".rstrip(),
    "blank lines": "2\n\n\nLi 0 0 0\n\nH 0 0 1.595\n\n\n",
    "labels": "2\n\nLi1 0 0 0\nH_a 0 0 1.595\n",
    "lower case": "2\n\nli 0 0 0\nh 0 0 1.595\n",
    "upper case": "2\n\nLI 0 0 0\nH 0 0 1.595\n",
    "atomic numbers": "2\n\n3 0 0 0\n1 0 0 1.595\n",
    "tabs": "2\n\nLi\t0\t0\t0\nH\t0\t0\t1.595\n",
    "exponents of Fortran": "2\n\nLi 0 0.0D0 0\nH 0 0 1595.d-3\n",
    "unicode minus": "2\n\nLi 0 0 0\nH −0 0 15.95e−1\n",
    "forces after": "2\n\nLi 0 0 0 1 2 3\nH 0 0 1.595 4 5 6\n",
    "properties": f"2\nProperties=species:S:1:pos:R:3\n{ROWS}",
    "forces before": "2\nProperties=species:S:1:forces:R:3:pos:R:3\n"
    "Li 9 9 9 0 0 0\nH 8 8 8 0 0 1.595\n",
    "species last": "2\nenergy=-8.07 Properties=pos:R:3:charge:R:1:species:S:1\n"
    "0 0 0 0.7 Li\n0 0 1.595 -0.7 H\n",
    "atomic numbers of ase": "2\nProperties=Z:I:1:pos:R:3 pbc='F F F'\n"
    "3 0 0 0\n1 0 0 1.595\n",
    "a box": f'2\nLattice="9 0 0 0 9 0 0 0 9" pbc="F F F"\n{ROWS}',
    "qm9": QM9,
    "qm9, bare": QM9[: QM9.index("1405")],
    "a sentence": f"2\nMulliken charges in column 5, 3 spin orbitals\n{ROWS}",
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_spellings_of_a_file_are_one_molecule(file, content):
    m = Molecule.parse(file(content))
    assert m == LIH
    assert m.text() == LIH.text()


@pytest.mark.parametrize(
    ("comment", "options", "charge", "spin"),
    [
        ("charge=1", {}, 1, 1),
        ("Charge: -1", {}, -1, 1),
        ("total_charge = +1.0 mult=4", {}, 1, 3),
        ('energy=-8 charge="1" multiplicity="2"', {}, 1, 1),
        ("Total charge 1, multiplicity 4", {}, 1, 3),
        ("0 3", {}, 0, 2),
        ("0, 3", {}, 0, 2),
        ("* xyz -1 2", {}, -1, 1),
        ("0 1", {"spin": 2}, 0, 2),
        ("1 4", {"charge": 0}, 0, 0),  # the multiplicity belongs to the charge
        ("1 4", {"charge": 1}, 1, 3),
        ("charge=x multiplicity=0.5", {"charge": 0, "spin": 0}, 0, 0),
        ("multiplicity=3", {}, 0, 2),
        ("charge=0 spin=0", {}, 0, 0),
        ("spin=1", {"spin": 2}, 0, 2),
        ("frame 12, E -8.07", {}, 0, 0),
        ("initial_charge=3 charges=2", {}, 0, 0),
    ],
)
def test_charge_and_multiplicity_of_the_comment_line_count(
    file, comment, options, charge, spin
):
    m = Molecule.parse(file(f"2\n{comment}\n{ROWS}"), **options)
    assert (m.charge, m.spin) == (charge, spin)


def test_what_the_comment_line_decides_is_remarked(file):
    both = Molecule.parse(file(f"2\n1 2\n{ROWS}"))
    assert both.remarks == ("of the comment line: charge 1, multiplicity 2",)
    assert not Molecule.parse(file(f"2\n1 2\n{ROWS}"), charge=0, spin=0).remarks


def test_parts_of_labels_that_are_not_used_are_remarked(file):
    m = Molecule.parse(file("2\n\nD 0 0 0\nFe2+ 0 0 1.5\n"), spin=1)
    assert m.name == "HFe"
    assert m.remarks == (
        "the charge in label Fe2+ is not used",
        "isotopes have the energy of H, since nuclei are clamped",
    )


TRAJECTORY = "1\n\nH 0 0 0\n1\nb\nHe 0 0 0\n\n2\nc\n" + ROWS


@pytest.mark.parametrize(
    ("frame", "name"), [(0, "H"), (1, "He"), (2, "LiH"), (-1, "LiH"), (-3, "H")]
)
def test_a_frame_is_chosen_by_its_index_as_in_ase(file, frame, name):
    assert Molecule.parse(file(TRAJECTORY), frame=frame).name == name


def test_a_file_with_one_frame_has_frame_0_and_the_last(file):
    path = file(f"2\n\n{ROWS}")
    assert Molecule.parse(path, frame=0) == Molecule.parse(path, frame=-1) == LIH


def test_a_frame_and_its_text_are_the_same_run(file):
    task = VMC(molecule=file(TRAJECTORY), frame=2)
    assert task.canonical() == VMC(molecule="Li 0 0 0; H 0 0 1.595").canonical()
    assert VMC(**task.canonical()).canonical() == task.canonical()


REFUSED = [
    (TRAJECTORY, {}, r"has 3 frames; choose one with frame, 0 to 2 \(or -1"),
    (TRAJECTORY, {"frame": 3}, "has no frame 3; it has 3, from frame 0 to frame 2"),
    (TRAJECTORY, {"frame": -4}, "has no frame -4"),
    (f'2\nLattice="9 0 0 0 9 0 0 0 9"\n{ROWS}', {}, "line 2 describes a periodic"),
    (f'2\npbc="F F T"\n{ROWS}', {}, "line 2 describes a periodic system"),
    (f'2\npbc="F F ?"\n{ROWS}', {}, r"line 2: pbc has '\?', expected T or F"),
    (
        f"2\nProperties=species:S:1:pos:R:3:q:R:1\n{ROWS}",
        {},
        "line 3 has 4 columns but",
    ),
    (f"2\nProperties=species:S:1:pos:R\n{ROWS}", {}, "must be name:type:count"),
    (f"2\nProperties=species:S:1:forces:R:3\n{ROWS}", {}, "must have species:S:1"),
    (f"2\ncharge=half\n{ROWS}", {}, "line 2: charge 'half' is not a whole number"),
    (f"2\ncharge=0.5\n{ROWS}", {}, "line 2: charge '0.5' is not a whole number"),
    (f"2\ncharge=1 charge=2\n{ROWS}", {}, r"line 2: charge is stated twice.*\[1, 2\]"),
    (f"2\nspin=1\n{ROWS}", {}, r"line 2: 'spin 1' may mean S, 2S or 2S \+ 1; give"),
    (f"2\n0 2\n{ROWS}", {}, "multiplicity 2 in the comment line does not fit 4 elec"),
    (f"2\n0 0\n{ROWS}", {}, "line 2: multiplicity 0 is not"),
    (f"2\ncharge=4\n{ROWS}", {}, "charge 4 leaves 0 electrons"),
    (f"2\n\n{ROWS}VEC1 9 0 0\n", {}, "line 1 announces 2 nuclei but line 5 follows"),
    (f"2\n\n{ROWS}1\n", {}, "line 5 announces 1 nuclei but 0 lines follow"),
    ("1\n\nH 0 0 1_595\n", {}, "line 3: '1_595' is not a number"),
    ("1\n\nH 0 0 ١\n", {}, "line 3: '١' is not a number"),
    ("1\n\nH 0 0 0x1p3\n", {}, "line 3: '0x1p3' is not a number"),
    ("1\n\nH 0 0 infinity\n", {}, "line 3: 'infinity' is not a number"),
    ("1\n\nH 0,0 0,0 0,7\n", {}, "'0,0' is not a number; .*write a point"),
    ("1\n\nH 0 0 1e999\n", {}, "line 3: coordinate '1e999' must be finite"),
    ("1\n\nOW 0 0 0\n", {}, "line 3: unknown element 'OW'"),
    ("1\n\n37 0 0 0\n", {}, "line 3: unknown element '37'"),
    ("1\n\nX 0 0 0\n", {}, "line 3: X is a dummy without charge"),
    ("1\n\nTv 0 0 9\n", {}, "line 3: Tv is a vector of a lattice"),
    ("١\n\nH 0 0 0\n", {}, "line 1 must be the number of nuclei, got '١'"),
    ("9" * 5000 + "\n\nH 0 0 0\n", {}, "line 1 must be the number of nuclei"),
    ("999999999\n\nH 0 0 0\n", {}, "line 1 announces 999999999 nuclei but 1 lines"),
    ("$coord\n0 0 0 li\n$end\n", {}, r"line 1 must be the number .*got '\$coord'"),
    (b"\xff\xfe\x00", {}, "not a text file"),
]


@pytest.mark.parametrize(("content", "options", "message"), REFUSED)
def test_files_that_are_refused(file, content, options, message):
    assert_refused(file(content), message, **options)


WORDS = [
    ("H2+", {}, r"unknown molecule 'H2\+'; write H2 with a charge: H2 --charge 1$"),
    ("Li+", {}, "Li --charge 1$"),
    ("O-2", {}, "O --charge -2$"),
    ("Fe2+", {}, "Fe --charge 2$"),
    ("Ca++", {}, "Ca --charge 2$"),
    ("N2+", {}, "N2 --charge 1$"),
    ("H3O+", {}, r"'H3O\+'; write its nuclei, .* with a charge, --charge 1$"),
    ("D2O", {}, "write H2O: nuclei are clamped"),
    ("fe", {}, "unknown molecule 'fe'; did you mean 'Fe'"),
    ("LiH.mol", {}, r"'LiH.mol' is not .xyz; convert it \(ase convert LiH.mol LiH.xyz"),
    ("a b/LiH.pdb", {}, r"\(ase convert 'a b/LiH.pdb' LiH.xyz\)"),
    ("LiH.gjf", {}, "ase convert LiH.gjf LiH.xyz"),
    ("coord", {}, "ase convert coord coord.xyz"),
    ("LiH.cml", {}, "obabel LiH.cml -O LiH.xyz"),
    ("NaCl.cif", {}, "'NaCl.cif' describes a crystal, but vmc computes molecules"),
    ("N2 0 0 0", {}, "nucleus 1: N2 is no atom; write 'N2' alone"),
    ("LiH", {"frame": 0}, "frame 0 is for .xyz files; leave it out"),
    ("H 0 0 0\nH 0 0 1/2", {}, "nucleus 2: '1/2' is not a number"),
    ("~nobody-has-this-name/a.xyz", {}, "cannot read molecule file .*home dir"),
    ("a\0b.xyz", {}, r"cannot read molecule file 'a\?b.xyz': embedded null"),
    ("/dev/zero", {}, "cannot read molecule file '/dev/zero': not a file"),
    ("; ".join(f"H 0 0 {k}" for k in range(1001)), {}, "1001 nuclei, but"),
]


@pytest.mark.parametrize(("text", "options", "message"), WORDS)
def test_words_that_are_no_molecule_get_advice(text, options, message):
    assert_refused(text, message, **options)


def test_a_file_without_suffix_is_named_by_its_path(file, monkeypatch, tmp_path):
    file(f"2\n\n{ROWS}", "geometry")
    monkeypatch.chdir(tmp_path)
    assert_refused("geometry", r"to read the file of this name as .xyz, write ./geom")
    assert Molecule.parse("./geometry") == LIH


def assert_refused(text, message, **options):
    with pytest.raises(ValueError, match=message) as caught:
        Molecule.parse(text, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__cause__ is None


number = st.floats(-50, 50).map(repr)
row = st.tuples(st.sampled_from(SYMBOLS), number, number, number)


@given(
    st.lists(row, min_size=1, max_size=4, unique_by=lambda r: round(float(r[1]))),
    st.permutations(["species:S:1", "pos:R:3", "forces:R:3"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_molecule_round_trips_through_extended_xyz(
    file, rows, order, newline, encoding
):
    """Columns may come in any order, lines end in any way, in any encoding."""
    cells = {"species:S:1": lambda r: r[:1], "pos:R:3": lambda r: r[1:]}
    line = lambda r: [w for c in order for w in cells.get(c, lambda _: "789")(r)]  # noqa: E731
    lines = [str(len(rows)), f"charge=0 Properties={':'.join(order)}"]
    lines += [" ".join(line(r)) for r in rows]
    text = "; ".join(" ".join(r) for r in rows)
    path = file(newline.join(lines).encode(encoding))
    try:
        expected = Molecule.parse(text)
    except ValueError as error:  # nuclei that are too close are so in both
        assert_refused(path, re.escape(str(error)))
        return
    assert Molecule.parse(path) == expected


PIECES = (
    "1|2|H 0 0 0|He 0 0 1|charge=|Properties=|pbc=|=T|species:S:1|:pos:R:3|:|\n| |"
    "spin 2|−|0 1|gdb 1 "
).split("|")
pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12)
hostile = pieces.map("".join)


@given(
    st.one_of(
        st.binary(max_size=40), hostile.map(lambda t: t.encode(errors="replace"))
    ),
    st.none() | st.integers(-2, 2),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_file_is_a_molecule_or_one_line(file, content, frame):
    assert_molecule_or_line(file(content), frame=frame)


@given(hostile, st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9))
def test_any_text_is_a_molecule_or_one_line(text, charge, spin):
    assert_molecule_or_line(text, charge=charge, spin=spin)


def assert_molecule_or_line(text, **options):
    try:
        m = Molecule.parse(text, **options)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        again = Molecule.parse(m.text(), charge=m.charge, spin=m.spin, unit="bohr")
        assert again == m
