"""Labelled pairs as a table, in memory and in files.

A file is CSV with a header, or JSONL with one flat object a line (``.csv``, ``.jsonl``,
and either with ``.gz``).  Its columns:

    preferred   A or B: the response that a human chose
    pair        optional: what identifies the pair; default the number of its row
    unparsed, inconsistent   optional: counts of the labelling, not read here
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
from heliostat_tasks.preferences.files import json_object, kind_of, opened, wrong

RESERVED = ("pair", "preferred", "unparsed", "inconsistent")
"""Columns that are no features."""

VALUES = {"-1": -1, "0": 0, "1": 1, "+1": 1}


class Table(NamedTuple):
    """Pairs of responses, compared by features, and which one was preferred."""

    features: tuple[str, ...]
    phi: np.ndarray  # (pairs, F) int8: 1 where A has more of a feature, -1 where B
    first: np.ndarray  # (pairs,) bool: A was preferred
    pairs: tuple[str, ...]  # what identifies each
    planted: np.ndarray | None = None  # (F,) coefficients, if they are known

    @property
    def x(self) -> np.ndarray:
        """(pairs, F) int8, the preferred response's features less the other's."""
        return np.where(self.first[:, None], self.phi, -self.phi)

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """``x`` of pairs to learn from, and of those held out.

        A pair is held out by the hash of what identifies it: no seed moves it, nor do
        other pairs, and copies of a pair stay on one side.
        """
        out = np.array([_share(pair) < holdout for pair in self.pairs], bool)
        return self.x[~out], self.x[out]


def read_table(path: str | Path) -> Table:
    """The table of a file in the format above.

    Raises:
        heliostat.RequestError: naming the file, the line and what was expected.

    Example:
        >>> Path("t.csv").write_text("preferred,polite\\nA,1\\n")  # doctest: +SKIP
        >>> read_table("t.csv").phi.tolist()  # doctest: +SKIP
        [[1]]
    """
    file = Path(path).expanduser()
    return _stored(file, file.stat().st_mtime_ns if file.exists() else 0)


def word_of(feature: str) -> str:
    """A feature's name as one word, for conditions: ``admits doubt`` is
    ``admits_doubt``."""
    return re.sub(r"\W+", "_", feature.strip().lower()).strip("_")


def check_names(file: Path, names: Sequence[str]) -> None:
    """Refuse names of features that could not be told apart in a headline.

    Raises:
        heliostat.RequestError: also if there are none, or one is no feature's.
    """
    words = [word_of(name) for name in names]
    apart = names and "" not in words and len(set(words)) == len(words)
    if not apart or set(RESERVED) & set(names):
        given = ", ".join(names) or "none"
        raise hs.RequestError(f"{file} has the features {given}: expected names apart")


@lru_cache(maxsize=4)
def _stored(file: Path, changed: int) -> Table:
    """Read once for as long as the file does not change: headlines ask again."""
    with opened(file) as stream:
        return _table(file, _rows(file, stream))


def _rows(file: Path, stream: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Line numbers and rows."""
    kind = kind_of(file)
    if kind == ".csv":
        reader = csv.DictReader(stream, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise wrong(file, reader.line_num, f"no CSV ({error})") from error
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
        raise wrong(file, number, f"expected the columns {', '.join(features)}")
    return [_value(file, number, name, row[name]) for name in features]


def _value(file: Path, number: int, name: str, given: Any) -> int:
    found = VALUES.get(str(given).strip())
    if found is None:
        raise wrong(file, number, f"{name} {given!r}, expected -1, 0 or 1")
    return found


def _preferred(file: Path, number: int, row: Mapping[str, Any]) -> bool:
    given = str(row.get("preferred", "")).strip()
    if given not in ("A", "B"):
        raise wrong(file, number, f"preferred {given!r}, expected A or B")
    return given == "A"


def _share(pair: str) -> float:
    """A number in [0, 1) that looks uniform and belongs to the pair."""
    return int.from_bytes(hashlib.sha256(pair.encode()).digest()[:6], "big") / 2**48
