"""Frames of .xyz files: a count, a comment, then ``symbol x y z`` on each line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from heliostat_tasks.vmc.molecules import comment_line
from heliostat_tasks.vmc.molecules.elements import remarks, shorten
from heliostat_tasks.vmc.molecules.nuclei import Structure, nucleus

_COUNT = re.compile(r"\s*([0-9]{1,9})\s*")
_QM9 = re.compile(r"\s*gdb\s+[0-9]+\s")
_AFTER_QM9 = 3
"""Lines after a molecule of QM9: frequencies, SMILES, InChI."""


class Frame(NamedTuple):
    """Lines of one geometry, with their numbers in the file."""

    start: int  # number of the line of the count
    comment: str
    rows: list[tuple[int, str]]


def frames(lines: list[str], path: str) -> Iterator[Frame]:
    """Yield the frames of a file; blank lines between rows and frames do not count.

    The three lines that QM9 has after its nuclei are skipped.

    Args:
        lines: of the file.
        path: for messages.

    Raises:
        ValueError: one line that names the file and its faulty line.

    Example:
        >>> [frame.comment for frame in frames(["1", "a", "H 0 0 0"] * 2, "h.xyz")]
        ['a', 'a']
    """
    end = 0
    while end is not None:
        frame, end = _frame(lines, end, path)
        yield frame


def structure(
    frame: Frame, path: str, unit: str, charge: bool, spin: bool
) -> Structure:
    """Return the nuclei of a frame, with the charge and multiplicity of its comment.

    Columns that are neither label nor position (charges, forces) are ignored.

    Args:
        frame: one geometry.
        path: for messages.
        unit: of the coordinates, ``"angstrom"`` or ``"bohr"``.
        charge: true if a charge in the comment line counts.
        spin: true if a multiplicity there counts.

    Raises:
        ValueError: one line that names the file and its faulty line.
    """
    location = f"'{path}' line {frame.start + 1}"
    comment = comment_line.parse(frame.comment, location, charge, spin)
    nuclei, labels = [], []
    for number, row in frame.rows:
        place = f"'{path}' line {number}"
        fields = _fields(row.split(), comment.columns, place)
        nuclei.append(nucleus(fields, place, unit))
        labels.append(fields[0])
    return Structure(
        nuclei, comment.charge, comment.multiplicity, tuple(remarks(labels))
    )


def _frame(lines: list[str], start: int, path: str) -> tuple[Frame, int | None]:
    """Return the frame that starts at an index, and the index of the next one."""
    count = _count(lines[start] if lines else "", f"'{path}' line {start + 1}")
    comment = lines[start + 1] if len(lines) > start + 1 else ""
    filled = _filled(lines, start + 2)
    rows = [row for _, row in zip(range(count), filled, strict=False)]
    if len(rows) < count:
        raise ValueError(
            f"'{path}' line {start + 1} announces {count} nuclei but {len(rows)} lines "
            "follow the comment; correct the count or the lines"
        )
    following = next(filled, None)
    if _QM9.match(comment):
        for _ in range(_AFTER_QM9):
            if following and not _COUNT.fullmatch(following[1]):
                following = next(filled, None)
    if following and not _COUNT.fullmatch(following[1]):
        raise ValueError(
            f"'{path}' line {start + 1} announces {count} nuclei but line "
            f"{following[0]} follows them, '{shorten(following[1].strip())}'; correct "
            "the count or the lines"
        )
    end = following[0] - 1 if following else None
    return Frame(start + 1, comment, rows), end


def _filled(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    """Yield the lines from an index on that are not blank, with their numbers."""
    for index in range(start, len(lines)):
        if lines[index].strip():
            yield index + 1, lines[index]


def _count(line: str, location: str) -> int:
    match = _COUNT.fullmatch(line)
    if not match or int(match[1]) < 1:
        raise ValueError(
            f"{location} must be the number of nuclei, got '{shorten(line.strip())}'; "
            "an .xyz file is a count, a comment, then 'symbol x y z' lines"
        )
    return int(match[1])


def _fields(
    fields: list[str], columns: comment_line.Columns, location: str
) -> list[str]:
    """Return label, x, y and z of a row."""
    if columns.total not in (None, len(fields)):
        raise ValueError(
            f"{location} has {len(fields)} columns but Properties describes "
            f"{columns.total}"
        )
    return fields[columns.label :][:1] + fields[columns.x :][:3]
