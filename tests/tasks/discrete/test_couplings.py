"""Couplings and fields from files: every kind of file against sums over all states.

The oracle adds up the terms that a file's text says, state by state, in plain Python.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

import heliostat as hs
from heliostat.config import specify
from heliostat.kernels.discrete.target import value
from heliostat_tasks.discrete import Discrete

EDGES = [(0, 1, 0.7), (0, 3, -1.1), (1, 2, 0.4), (2, 3, 0.9)]
FIELDS = [(0, 0.3), (2, -0.8), (3, 0.2)]
STATES = list(product((0, 1), repeat=4))
J = np.zeros((4, 4))
for a, b, weight in EDGES:
    J[a, b] = J[b, a] = weight

LINES = "".join(f"{a} {b} {w}\n" for a, b, w in EDGES)
TERMS = LINES + "".join(f"{a} {a} {h}\n" for a, h in FIELDS)
COMMAS = LINES.replace(" ", ",")


def energy(v, linear=True):
    """E = Σ w v_a v_b over lines, and Σ h v of linear terms, of bits or of spins."""
    pairs = sum(w * v[a] * v[b] for a, b, w in EDGES)
    return pairs + (sum(h * v[a] for a, h in FIELDS) if linear else 0.0)


def as_spins(x):
    return [2 * v - 1 for v in x]


def of_edges(x):
    return energy(as_spins(x), linear=False)


WRITTEN = {
    "J.npy": lambda path: np.save(path, J),
    "J.npz": lambda path: sp.save_npz(path, sp.csr_array(J)),
    "one.npz": lambda path: np.savez(path, J=J),
    "J.mtx": lambda path: scipy.io.mmwrite(path, sp.coo_array(J)),
    "general.mtx": lambda path: scipy.io.mmwrite(path, J, symmetry="general"),
    "J.txt": lambda path: np.savetxt(path, J, header="couplings"),
    "J.csv": lambda path: np.savetxt(path, J, delimiter=","),
    "named.csv": lambda path: pd.DataFrame(J, [*"abcd"], [*"abcd"]).to_csv(path),
    "numbered.csv": lambda path: pd.DataFrame(J).to_csv(path, index=False),
    "edges.csv": lambda path: path.write_text(f"source,target,weight\n{COMMAS}"),
    "edges.txt": lambda path: path.write_text(f"# from a lattice\n# i j J\n{LINES}"),
}


def logs(target):
    return [float(value(target, np.array(x, np.uint8))) for x in STATES]


@pytest.mark.parametrize("name", WRITTEN)
def test_a_file_of_couplings_is_the_sum_over_its_edges(name, tmp_path):
    WRITTEN[name](tmp_path / name)
    model = Discrete(couplings=hs.File(tmp_path / name)).model
    np.testing.assert_allclose(logs(model), [of_edges(x) for x in STATES], atol=1e-5)


@pytest.mark.parametrize("name", ["SPIN", "BINARY"])
def test_an_energy_is_sampled_at_minus_k_times_its_value(name, tmp_path):
    (tmp_path / "q.coo").write_text(f"# vartype={name}\n{TERMS}")
    model = Discrete(couplings=hs.File(tmp_path / "q.coo"), coupling=1.5).model
    exact = [-1.5 * energy(as_spins(x) if name == "SPIN" else x) for x in STATES]
    shift = np.subtract(logs(model), exact)
    np.testing.assert_allclose(shift, shift[0], atol=1e-5)


def test_equal_lines_of_an_energy_add_up(tmp_path):
    (tmp_path / "once").write_text("# vartype: BINARY\n0 1 1.0\n1 1 -2\n")
    (tmp_path / "twice").write_text("# vartype: BINARY\n0 1 0.25\n1 0 0.75\n1 1 -2\n")
    tasks = [Discrete(couplings=hs.File(tmp_path / n)) for n in ("once", "twice")]
    x = np.array([1, 1], np.uint8)
    assert len({float(value(task.model, x)) for task in tasks}) == 1


@pytest.mark.parametrize("name", ["lattice", "couplings", "independent"])
def test_a_field_by_file_acts_on_each_site(name, tmp_path):
    np.save(tmp_path / "J.npy", J)
    fields = {
        "lattice": {"size": 3},
        "couplings": {"couplings": hs.File(tmp_path / "J.npy")},
        "independent": {"target": "independent", "size": 9},
    }[name]
    plain = Discrete(**fields).model
    h = np.linspace(-1, 1, plain.sites)
    (tmp_path / "h.csv").write_text("h\n" + "\n".join(map(str, h.tolist())))
    model = Discrete(**fields, field=hs.File(tmp_path / "h.csv")).model
    x = np.random.default_rng(0).integers(0, 2, plain.sites, np.uint8)
    signs = x if name == "independent" else 2.0 * x - 1
    gap = float(value(model, x)) - float(value(plain, x))
    assert gap == pytest.approx(float(h @ signs), abs=1e-5)


def test_without_a_number_a_file_has_its_own_couplings(tmp_path):
    np.save(tmp_path / "J.npy", J)
    file = hs.File(tmp_path / "J.npy")
    ids = [
        specify(Discrete(couplings=file, coupling=k)).id for k in (None, 1.0, 1, 0.4)
    ]
    assert len({*ids[:3]}) == 1 and ids[3] != ids[0]
    spelt_out = [specify(Discrete(coupling=k)).id for k in (None, 0.4)]
    assert len({*spelt_out}) == 1
    Discrete(target="rbm", coupling=0.4)  # as older runs have it in their spec
    with pytest.raises(ValueError, match="nothing reads it here"):
        Discrete(target="rbm", coupling=0.5)


def test_a_matrix_with_nan_is_refused_for_that_reason(tmp_path):
    np.save(tmp_path / "N.npy", np.where(J == 0, np.nan, J))
    with pytest.raises(ValueError, match=r"N\.npy: J has NaN or infinite entries"):
        Discrete(couplings=hs.File(tmp_path / "N.npy"))


def test_the_hint_for_a_triangle_keeps_each_edge_once(tmp_path):
    np.save(tmp_path / "U.npy", np.triu(J))
    with pytest.raises(ValueError, match=r"of each edge once.* give J \+ J\.T$"):
        Discrete(couplings=hs.File(tmp_path / "U.npy"))
    upper = np.triu(J)
    np.save(tmp_path / "U.npy", upper + upper.T)
    model = Discrete(couplings=hs.File(tmp_path / "U.npy")).model
    np.testing.assert_allclose(logs(model), [of_edges(x) for x in STATES], atol=1e-5)


REFUSED = {
    "J.mat": (b"MATLAB 5.0 \x9d\xff", "it is no text"),
    "J.npy": (b"\x93NUMPX broken", "it is no .npy"),
    "J.npz": (b"\x9d\xff", "it is no archive of arrays"),
    "J.mtx": (b"0 1\n1 0\n", "it is no .mtx"),
    "J.json": (b'{"J": [[0, 1], [1, 0]]}', "it holds no numbers"),
    "words.csv": (b"a,b\nc,d\n", "it holds no numbers"),
    "ragged.txt": (b"0 1\n1 0 2 4\n", "its rows differ in length"),
    "short.txt": (b"0 1 2\n1 0\n", "a row lacks a number"),
    "mixed.txt": (b"0 1\n1 x\n", "could not convert string to float: 'x'"),
    "bare.txt": (b"0 1 1.5\n1 2 0.5\n", "a line 'i j J' above a list of edges"),
    "self.txt": (b"i j J\n0 1 1\n1 1 2\n", "an edge from site 1 to itself"),
    "twice.txt": (b"i j J\n0 1 1\n1 0 1\n", "the edge 1-0 stands twice"),
    "one.txt": (b"i j J\n1 2 1\n2 3 1\n", "no line has site 0"),
    "half.txt": (b"i j J\n0 1.5 1\n", "site 1.5: expected whole numbers from 0"),
    "Q.txt": (b"1 2\n0 3\n", "below '# vartype=BINARY'"),
    "empty.csv": (b"", "it holds no numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_files_are_refused_in_words(name, tmp_path):
    content, words = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as refusal:
        Discrete(couplings=hs.File(tmp_path / name))
    message = str(refusal.value)
    assert words in message and name in message
    assert "codec" not in message and "\n" not in message


def test_a_field_of_other_sites_is_refused(tmp_path):
    np.save(tmp_path / "h.npy", np.ones(5))
    with pytest.raises(ValueError, match=r"field of shape \(5,\): expected .* \(16,\)"):
        Discrete(size=4, field=hs.File(tmp_path / "h.npy"))
    (tmp_path / "h.csv").write_text("site,h\n" + "".join(f"{i},1\n" for i in range(16)))
    with pytest.raises(ValueError, match="16 lines of a site and its number"):
        Discrete(size=4, field=hs.File(tmp_path / "h.csv"))


def test_a_start_of_spins_is_the_start_of_their_bits(tmp_path):
    np.save(tmp_path / "J.npy", J)
    (tmp_path / "bits.txt").write_text("0 1 1 0")
    (tmp_path / "spins.csv").write_text("-1,1,1,-1")
    files = {"couplings": hs.File(tmp_path / "J.npy")}
    starts = [
        Discrete(**files, begin_at=hs.File(tmp_path / name))._start.tolist()
        for name in ("bits.txt", "spins.csv")
    ]
    assert starts == [[0, 1, 1, 0]] * 2
