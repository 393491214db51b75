"""Files of molecules: .xyz, in the encodings and with the frames that there are."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from heliostat_tasks.vmc.molecules import xyz
from heliostat_tasks.vmc.molecules.elements import shorten
from heliostat_tasks.vmc.molecules.nuclei import Structure

LARGEST = 100_000_000
"""Largest file that is read, bytes."""

_CRYSTAL = ("cif", "vasp", "poscar", "xsf")
_BY_ASE = ("mol", "sdf", "pdb", "gjf", "com", "coord", "xsd", "gen", "traj", "nw")
_BY_OPEN_BABEL = ("mol2", "cml", "tmol", "zmat", "inp", "out", "log", "fchk", "molden")
_KNOWN = (*_CRYSTAL, *_BY_ASE, *_BY_OPEN_BABEL)


def is_file(text: str) -> bool:
    """Return true for a path: it has a separator, or ends as files of molecules do.

    Example:
        >>> [is_file(text) for text in ("a.xyz", "./a", "LiH.mol", "LiH")]
        [True, True, True, False]
    """
    if "\n" in text or (";" in text and not os.path.exists(text)):
        return False
    return _kind(text) in ("xyz", "extxyz", *_KNOWN) or "/" in text or os.sep in text


def read(
    path: str, unit: str, frame: int | None, charge: bool, spin: bool
) -> Structure:
    """Read one geometry of an .xyz file.

    Args:
        path: ``~`` is expanded.
        unit: ``"angstrom"``, which the format prescribes, or ``"bohr"``.
        frame: index of the geometry from 0, or from −1 for the last, as in ASE; needed
            if there are several.
        charge: true if a charge in the comment line counts.
        spin: true if a multiplicity there counts.

    Returns:
        The nuclei, in bohr, with the charge and multiplicity of the comment line.

    Raises:
        ValueError: one line that names the file and its faulty line.
    """
    shown = shorten(path, 250)
    if (kind := _kind(path)) in _KNOWN:
        raise ValueError(_convert(path, kind))
    # the separators of str.splitlines would also split at … in old encodings
    lines = re.split(r"\r\n|\r|\n", _text(path))
    frames = list(xyz.frames(lines, shown))
    if frame is None and len(frames) > 1:
        raise ValueError(
            f"'{shown}' has {len(frames)} frames; choose one with frame, "
            f"0 to {len(frames) - 1} (or -1, the last)"
        )
    if not -len(frames) <= (frame or 0) < len(frames):
        raise ValueError(
            f"'{shown}' has no frame {frame}; it has {len(frames)}, from frame 0 to "
            f"frame {len(frames) - 1}"
        )
    return xyz.structure(frames[frame or 0], shown, unit, charge, spin)


def _kind(path: str) -> str:
    """Return the suffix of a path without its dot, or else the name of the file."""
    return path.rsplit("/")[-1].rsplit(".")[-1].lower()


def _convert(path: str, kind: str) -> str:
    """Return advice on a file of another format."""
    shown = shorten(path, 250)
    if kind in _CRYSTAL:
        return (
            f"'{shown}' describes a crystal, but vmc computes molecules; write the "
            "nuclei of one molecule as .xyz"
        )
    target = f"{Path(path).stem}.xyz"
    words = ("ase", "convert", path) if kind in _BY_ASE else ("obabel", path, "-O")
    command = shorten(shlex.join((*words, target)), 500)
    return (
        f"'{shown}' is not .xyz; convert it ({command}), "
        "and give its charge and spin if it has them"
    )


def _text(path: str) -> str:
    """Read and decode a file.

    Raises:
        ValueError: if it is no text file of a sensible size.
    """
    shown = shorten(path, 250)
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file():
            kind = "Is a directory" if file.is_dir() else "not a file"
            raise OSError(kind)
        if file.stat().st_size > LARGEST:
            raise OSError(f"larger than {LARGEST / 1e6:.0f} MB")
        content = file.read_bytes()
    except (OSError, ValueError, RuntimeError) as error:  # a null byte, no such home
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"cannot read molecule file '{shown}': {reason}; check the path"
        ) from None
    if (text := _decoded(content)) is None:
        raise ValueError(f"cannot read '{shown}': not a text file; give .xyz")
    return text


def _decoded(content: bytes) -> str | None:
    """Decode UTF-8, UTF-16 with a byte order mark, or Latin-1; None for no text."""
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if utf16 else ("utf-8-sig", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text
    return None
