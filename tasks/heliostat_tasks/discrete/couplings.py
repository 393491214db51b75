"""Couplings and fields of spins from files, in one convention.

    log p = K (Σ_{i<j} J_ij s_i s_j + Σ_i h_i s_i),      s = 2x − 1 ∈ {−1, 1}

Each pair counts once, and a positive J favours equal spins::

    a matrix                      J itself, symmetric, with a zero diagonal: ½ sᵀ J s
    edges, below a line "i j J"   each edge once
    "# vartype=SPIN"              lines "i j b" of an energy, log p = −K E
    "# vartype=BINARY"            the same of bits: a QUBO, E = Σ Q_ij x_i x_j

The last two are dimod's COO: a line "i i b" is a linear term, and equal lines add up.
Sites count from 0.  A matrix may be ``.npy``, ``.npz`` (of ``scipy.sparse.save_npz``),
``.mtx``, ``.csv`` or text; no file is ever executed.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

import heliostat as hs

FORMATS = ".npy, .npz of scipy.sparse, .mtx, .csv or rows of numbers"

EDGES = "i j,source target,from to,u v,row col,row column".split(",")
"""Names of the two ends of an edge, in the header of a list of edges."""

VARTYPE = re.compile(r"vartype\s*[:=]\s*(spin|binary)\b", re.IGNORECASE)


class IsingCouplings(NamedTuple):
    """J and h of log p = ½ sᵀ J s + hᵀ s."""

    j: Float[np.ndarray, "sites sites"]
    h: Float[np.ndarray, " sites"]


class FileContent(NamedTuple):
    """Numbers of a file, and the words that stand above them."""

    header: str  # the first line, if it holds no numbers
    numbers: Num[np.ndarray, " ..."]


def read_couplings(path: str) -> IsingCouplings:
    """Read J, and h of files that have it.

    Args:
        path: path of a matrix, a list of edges or a QUBO; see the module.

    Raises:
        ValueError: with the file's name, if it cannot be read or is none of these.
    """
    table = _read(path)
    try:
        if vartype := VARTYPE.search(table.header):
            return _from_energy(table.numbers, vartype[1].lower() == "binary")
        if is_edge_header(table.header):
            return _from_edges(table.numbers)
        return _from_matrix(table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def read_sites(path: str) -> Num[np.ndarray, " sites"]:
    """Read a number for each site: a state or a field, of a lattice row by row.

    Raises:
        ValueError: with the file's name, if it cannot be read, or numbers its sites.
    """
    numbers = _read(path).numbers
    pairs = numbers.ndim == 2 and numbers.shape[1] == 2 < len(numbers)
    if pairs and (numbers[:, 0] == np.arange(len(numbers))).all():
        raise ValueError(
            f"{path} has {len(numbers)} lines of a site and its number: expected the "
            "number alone, in the order of sites"
        )
    return numbers.ravel()


def is_edge_header(header: str) -> bool:
    """Return True for the names of two ends and a weight.

    Example:
        >>> is_edge_header("source,target,weight"), is_edge_header("a b c")
        (True, False)
    """
    words = re.split(r"[\s,]+", header.lower().strip("# \t"))
    return len(words) == 3 and " ".join(words[:2]) in EDGES


# -- conversion to J and h -----------------------------------------------------------


def _from_matrix(table: FileContent) -> IsingCouplings:
    j = np.asarray(table.numbers, float)
    columns = np.arange(j.shape[1] if j.ndim == 2 else 0)
    if len(columns) and len(j) == len(columns) + 1 and (j[0] == columns).all():
        j = j[1:]  # pandas writes the numbers of the columns above them
    if j.ndim == 2 and j.shape[1] == 3 != j.shape[0]:
        raise ValueError(
            f"{len(j)} lines of three numbers: expected a line 'i j J' above a list of "
            "edges, or '# vartype=BINARY' or SPIN above a QUBO or an energy of spins"
        )
    if not np.isfinite(j).all():
        raise ValueError("J has NaN or infinite entries: expected finite numbers")
    if j.ndim == 2 and j.shape[0] == j.shape[1] and np.diag(j).any():
        site = int(np.argmax(np.diag(j) != 0))
        raise ValueError(
            f"J[{site}, {site}] = {j[site, site]:g}: a spin does not couple to itself; "
            "of a QUBO give lines 'i j q' below '# vartype=BINARY'"
        )
    return IsingCouplings(j, np.zeros(j.shape[0] if j.ndim else 0))


def _from_edges(numbers: Num[np.ndarray, "edges 3"]) -> IsingCouplings:
    ends, weights, sites = _entries(numbers)
    j = np.zeros((sites, sites))
    for (a, b), weight in zip(ends.tolist(), weights, strict=True):
        if a == b:
            raise ValueError(f"an edge from site {a} to itself: expected two sites")
        if counted := j[a, b]:
            raise ValueError(
                f"the edge {a}-{b} stands twice, with {counted:g} and {weight:g}: "
                "expected each edge once"
            )
        j[a, b] = j[b, a] = weight
    return IsingCouplings(j, np.zeros(sites))


def _from_energy(numbers: Num[np.ndarray, "terms 3"], binary: bool) -> IsingCouplings:
    """Convert E = Σ b_ij v_i v_j + Σ b_ii v_i of spins or of bits x = (1 + s) / 2."""
    ends, weights, sites = _entries(numbers)
    table = np.zeros((sites, sites))
    np.add.at(table, (ends[:, 0], ends[:, 1]), weights)
    linear, pairs = np.diag(table).copy(), table + table.T
    np.fill_diagonal(pairs, 0.0)
    if binary:
        linear, pairs = linear / 2 + pairs.sum(1) / 4, pairs / 4
    return IsingCouplings(-pairs, -linear)


def _entries(
    numbers: Num[np.ndarray, "entries columns"],
) -> tuple[Int[np.ndarray, "entries 2"], Float[np.ndarray, " entries"], int]:
    """Return the two sites of each line, its weight, and the number of sites."""
    if numbers.ndim != 2 or numbers.shape[1] != 3 or not len(numbers):
        raise ValueError(f"{numbers.shape}: expected lines of two sites and a weight")
    ends = numbers[:, :2]
    bad = (ends != np.floor(ends)) | (ends < 0)
    if bad.any():
        raise ValueError(f"site {ends[bad][0]:g}: expected whole numbers from 0")
    ends = ends.astype(int)
    sites = int(ends.max()) + 1
    missing = np.setdiff1d(np.arange(min(sites, 2 * len(ends) + 1)), ends)
    if len(missing):
        raise ValueError(
            f"no line has site {missing[0]}, but one has {sites - 1}: sites count from "
            "0; give a site without couplings a line of weight 0"
        )
    return ends, numbers[:, 2].astype(float), sites


# -- formats -------------------------------------------------------------------------


def _read(path: str) -> FileContent:
    file = hs.File(path)
    suffix = file.path.suffix.lower()
    try:
        table = READERS.get(suffix, _text)(file.path)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a hostile file can make a parser raise anything
        own = isinstance(error, Unreadable)
        reason = str(error) if own else f"it is no {suffix or 'text'}"
        raise ValueError(f"{file}: expected {FORMATS}; {reason}") from error
    if table.numbers.dtype.kind not in "biuf":
        raise ValueError(f"{file} holds {table.numbers.dtype}: expected real numbers")
    return table


class Unreadable(ValueError):
    """A file whose content is not what its reader takes, in words for its user."""


def _npy(path: Path) -> FileContent:
    return FileContent("", np.load(path, allow_pickle=False))


def _npz(path: Path) -> FileContent:
    from scipy.sparse import load_npz

    if not zipfile.is_zipfile(path):
        raise Unreadable("it is no archive of arrays")
    with np.load(path, allow_pickle=False) as archive:
        if "format" not in archive.files:
            if len(archive.files) != 1:
                raise Unreadable(f"it holds {', '.join(archive.files)}, not one matrix")
            return FileContent("", archive[archive.files[0]])
    return FileContent("", load_npz(path).toarray())


def _mtx(path: Path) -> FileContent:
    from scipy.io import mmread

    matrix: Any = mmread(path)
    return FileContent(
        "", matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    )


def _text(path: Path) -> FileContent:
    """Read rows of numbers below comments and perhaps a header, by pandas."""
    import pandas as pd

    header, skipped, comma = _head(path)
    sep = "," if comma else r"\s+"
    try:
        words = pd.read_csv(
            path, sep=sep, header=None, skiprows=skipped, comment="#", dtype=str
        )
    except pd.errors.ParserError as error:
        raise Unreadable("its rows differ in length") from error
    if header.startswith(","):  # pandas writes an index before each row
        words = words.iloc[:, 1:]
    if words.isna().to_numpy().any():
        raise Unreadable("a row lacks a number")
    try:  # not by pandas, whose parser may round the last bit
        return FileContent(header, words.to_numpy(object).astype(float))
    except ValueError as error:
        raise Unreadable(str(error)) from error


def _head(path: Path) -> tuple[str, int, bool]:
    """Return the header, the lines up to the first number, and if commas part them."""
    header = ""
    try:
        with path.open(encoding="utf-8") as lines:
            for count, line in enumerate(lines):
                line = line.strip().rstrip(",")
                if _holds_numbers(line, labels=header.startswith(",")):
                    return header, count, "," in line
                if VARTYPE.search(line) or not VARTYPE.search(header):
                    header = line or header
    except UnicodeDecodeError as error:
        raise Unreadable("it is no text") from error
    raise Unreadable("it holds no numbers")


def _holds_numbers(line: str, labels: bool) -> bool:
    """Return True if all words of a line are numbers, but perhaps its label."""
    words = re.split(r"[\s,]+", line.partition("#")[0].strip())
    try:
        return bool([float(word) for word in words[labels:]])
    except ValueError:
        return False


READERS: dict[str, Callable[[Path], FileContent]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".mtx": _mtx,
}
"""Readers by the ending of a file; all others are text."""
