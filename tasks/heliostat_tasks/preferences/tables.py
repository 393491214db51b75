"""Tables of labelled pairs, in memory and in files.

A file is CSV with a header, or JSONL with one flat object per line (``.csv``,
``.jsonl``, and either with ``.gz``). Its columns:

    preferred   A or B: the response that a human chose
    pair        optional: name of the pair; default the number of its row
    unparsed, inconsistent   optional: counts of the labelling, ignored
    any other   a feature: 1 where A has more of it, -1 where B has, 0 where neither
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import numpy as np

import heliostat as hs
from heliostat_tasks.preferences.files import (
    inner_suffix,
    json_object,
    line_error,
    open_text,
)

RESERVED = ("pair", "preferred", "unparsed", "inconsistent")
"""Columns that are not features."""

VALUES = {"-1": -1, "0": 0, "1": 1, "+1": 1}


class Table(NamedTuple):
    """Pairs of responses: features compared, and the response preferred."""

    features: tuple[str, ...]
    phi: np.ndarray  # (pairs, F) int8: 1 where A has more of a feature, -1 where B
    first: np.ndarray  # (pairs,) bool: A was preferred
    pairs: tuple[str, ...]  # name of each pair
    coefficients: np.ndarray | None = None  # (F,) of a synthetic set

    @property
    def x(self) -> np.ndarray:
        """(pairs, F) int8, the preferred response's features less the other's."""
        return np.where(self.first[:, None], self.phi, -self.phi)

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """Split ``x`` into pairs to learn from and pairs held out.

        The hash of its name decides on which side a pair falls. So neither a seed nor
        other pairs move it, and copies of a pair stay together.
        """
        out = np.array([_uniform(pair) < holdout for pair in self.pairs], bool)
        return self.x[~out], self.x[out]


def read_table(path: str | Path) -> Table:
    """Read the table of a file in the format above.

    Raises:
        heliostat.RequestError: for a malformed file, naming the line.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp(), "t.csv")
        >>> _ = file.write_text("preferred,polite\\nA,1\\n")
        >>> read_table(file).phi.tolist()
        [[1]]
    """
    file = Path(path).expanduser()
    return _read(file, file.stat().st_mtime_ns if file.exists() else 0)


def identifier(feature: str) -> str:
    """Turn a feature's name into an identifier, for use in conditions.

    Example:
        >>> identifier("admits doubt")
        'admits_doubt'
    """
    return re.sub(r"\W+", "_", feature.strip().lower()).strip("_")


def check_names(file: Path, names: Sequence[str]) -> None:
    """Refuse names of features whose identifiers clash.

    Raises:
        heliostat.RequestError: also if there are no names, or one is reserved.
    """
    words = [identifier(name) for name in names]
    distinct = names and "" not in words and len(set(words)) == len(words)
    if not distinct or set(RESERVED) & set(names):
        given = ", ".join(names) or "none"
        raise hs.RequestError(
            f"{file} has the features {given}: expected distinct names"
        )


@lru_cache(maxsize=4)
def _read(file: Path, changed: int) -> Table:
    """Read a file once per change: every headline needs its table."""
    with open_text(file) as stream:
        return _table(file, _rows(file, stream))


def _rows(file: Path, stream: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield line numbers and rows."""
    kind = inner_suffix(file)
    if kind == ".csv":
        reader = csv.DictReader(stream, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise line_error(file, reader.line_num, f"no CSV ({error})") from error
    elif kind == ".jsonl":
        for number, line in enumerate(stream, 1):
            yield number, json_object(file, number, line)
    else:
        raise hs.RequestError(f"{file}: expected an ending of .csv or .jsonl, or .gz")


def _table(file: Path, rows: Iterator[tuple[int, Mapping[str, Any]]]) -> Table:
    features, phi, first, pairs = None, [], [], []
    for number, row in rows:
        if features is None:
            features = _features(file, row)
        phi.append(_phi(file, number, row, features))
        first.append(_preferred(file, number, row))
        pairs.append(str(row.get("pair", len(pairs))))
    if features is None:
        raise hs.RequestError(f"{file} holds no pairs")
    return Table(features, np.array(phi, np.int8), np.array(first), tuple(pairs))


def _features(file: Path, row: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(str(name) for name in row if name not in RESERVED)
    check_names(file, names)
    return names


def _phi(
    file: Path, number: int, row: Mapping[str, Any], features: tuple[str, ...]
) -> list[int]:
    if row.keys() - set(RESERVED) != set(features):
        raise line_error(file, number, f"expected the columns {', '.join(features)}")
    return [_value(file, number, name, row[name]) for name in features]


def _value(file: Path, number: int, name: str, given: Any) -> int:
    value = VALUES.get(str(given).strip())
    if value is None:
        raise line_error(file, number, f"{name} {given!r}, expected -1, 0 or 1")
    return value


def _preferred(file: Path, number: int, row: Mapping[str, Any]) -> bool:
    given = str(row.get("preferred", "")).strip()
    if given not in ("A", "B"):
        raise line_error(file, number, f"preferred {given!r}, expected A or B")
    return given == "A"


def _uniform(pair: str) -> float:
    """Hash the name of a pair to a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(pair.encode()).digest()[:6], "big") / 2**48
