"""Loaders of binary images and spin states from files, none of which is executed.

    .npy, .npz     NumPy; arrays of Python objects are refused
    .amat, .txt    text, a row of numbers per state: the format of static MNIST
    .mat           MATLAB 5: the format of Omniglot and Caltech silhouettes

A file holds one array, or a training and a test set under their usual names. Images are
flattened, ±1 becomes 0 and 1, and grey values are cut at ½.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Shaped, UInt8

import heliostat as hs

StateArray = UInt8[np.ndarray, "_ sites"]

TRAIN = ("train", "train_data", "x_train", "data")
TEST = ("test", "test_data", "x_test", "testdata")
"""Names of the two sets in published archives."""

HELD_OUT = 5
"""Every fifth state is for testing if a file has no test set."""


def load(file: hs.File, values: int = 2) -> tuple[StateArray, StateArray | None]:
    """Load the training set of a file, and its test set if it has one.

    Args:
        file: path of a kind listed above.
        values: number of values of a site; 2 are bits.

    Raises:
        heliostat.RequestError: with the file's name and the reason.

    Example:
        >>> np.save("bits.npy", np.eye(4))
        >>> load(hs.File("bits.npy"))[0].shape
        (4, 4)
    """
    try:
        arrays = _read(file.path)
        train = _pick(arrays, TRAIN) if len(arrays) > 1 else next(iter(arrays.values()))
        test = _pick(arrays, TEST) if any(name in arrays for name in TEST) else None
        both = [as_states(x, values) for x in (train, test) if x is not None]
        if len(both) > 1 and both[0].shape[1] != both[1].shape[1]:
            shapes = f"{both[0].shape[1]} and {both[1].shape[1]}"
            raise ValueError(f"training and test states differ in sites: {shapes}")
    except OSError as error:
        reason = error.strerror or error
        raise hs.RequestError(f"{file} cannot be read: {reason}") from error
    except Exception as error:  # a hostile file can make a parser raise anything
        reason = " ".join(str(error).split())[:200]
        raise hs.RequestError(f"{file} is no array of states: {reason}") from error
    return both[0], both[1] if len(both) > 1 else None


def split(x: StateArray) -> tuple[StateArray, StateArray]:
    """Split states into training states and every fifth for testing."""
    held_out = np.arange(len(x)) % HELD_OUT == HELD_OUT - 1
    return x[~held_out], x[held_out]


def as_states(x: Shaped[np.ndarray, " ..."], values: int = 2) -> StateArray:
    """Convert an array of numbers to states.

    Raises:
        ValueError: for an array of another kind, or numbers out of range.
    """
    if x.dtype.kind not in "biuf" or x.ndim < 2 or not x.size:
        raise ValueError(
            f"{x.dtype}{list(x.shape)}: expected numbers with a row per state"
        )
    x = x.reshape(len(x), -1)
    if not np.isfinite(x).all():
        raise ValueError("it holds NaN or infinity")
    return _bits(x) if values == 2 else _integers(x, values)


def _bits(x: np.ndarray) -> np.ndarray:
    low, high = x.min(), x.max()
    if low < 0 and np.isin(x, (-1, 1)).all():
        return (x > 0).astype(np.uint8)
    if low < 0 or high > 1:
        raise ValueError(f"values from {low:g} to {high:g}: expected 0 to 1, or ±1")
    return (x > 0.5).astype(np.uint8)


def _integers(x: np.ndarray, values: int) -> np.ndarray:
    bad = (x < 0) | (x >= values) | (x != np.floor(x))
    if bad.any():
        raise ValueError(
            f"a site has the value {x[bad][0]:g}: expected whole numbers from 0 to "
            f"{values - 1}"
        )
    return x.astype(np.uint8)


def _read(path: Path) -> Mapping[str, np.ndarray]:
    """Read the arrays of a file by name; a nameless one has the name ''."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"ending '{path.suffix}': expected one of {', '.join(READERS)}"
        )
    with warnings.catch_warnings(), path.open("rb") as stream:
        warnings.simplefilter("error")  # NumPy only warns about an empty text
        arrays = reader(stream)
    if not arrays:
        raise ValueError("it holds no array")
    return arrays


def _pick(arrays: Mapping[str, np.ndarray], names: tuple[str, ...]) -> np.ndarray:
    for name in names:
        if name in arrays:
            return arrays[name]
    present = ", ".join(sorted(arrays)[:8])
    raise ValueError(f"it holds {present}: expected one array, or {', '.join(names)}")


def _npy(stream: BinaryIO) -> dict[str, np.ndarray]:
    return {"": np.lib.format.read_array(stream, allow_pickle=False)}


def _npz(stream: BinaryIO) -> dict[str, np.ndarray]:
    if stream.read(2) != b"PK":  # else NumPy would read another format
        raise ValueError("it is no archive of NumPy arrays")
    stream.seek(0)
    with np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _text(stream: BinaryIO) -> dict[str, np.ndarray]:
    comma = b"," in stream.readline(2**20)
    stream.seek(0)
    delimiter = "," if comma else None
    return {"": np.loadtxt(stream, "f4", delimiter=delimiter, ndmin=2)}


def _mat(stream: BinaryIO) -> dict[str, np.ndarray]:
    """Read the numeric arrays of a MATLAB 5 file; Omniglot has states in columns."""
    from scipy.io import loadmat

    arrays = {k: v for k, v in loadmat(stream).items() if isinstance(v, np.ndarray)}
    numeric = {k: v for k, v in arrays.items() if v.dtype.kind in "biuf" and v.ndim > 1}
    if {"data", "testdata"} <= set(numeric):
        return {name: numeric[name].T for name in ("data", "testdata")}
    return numeric


READERS: dict[str, Callable[[BinaryIO], dict[str, np.ndarray]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".amat": _text,
    ".txt": _text,
    ".mat": _mat,
}
