"""Bytes on disk: canonical JSON and safetensors, both read as if by an enemy.

Writing is the business of two libraries, ``rfc8785`` (JSON Canonicalization Scheme)
and ``safetensors``.  Reading what a stranger wrote is done here, in few lines that
check everything before they trust anything: nothing is executed, nothing is unpacked,
and no size is believed.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import rfc8785

import heliostat as hs
from heliostat.kernels import merkle

DEEPEST = 16
LONGEST_JSON = 8 << 20
LONGEST_HEADER = 1 << 20
TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
KINDS = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4")}


class Refused(hs.RequestError):
    """A transcript that is not what it must be; the message says what, in one line.

    It never repeats what the transcript says: that may be anything.
    """


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value (RFC 8785); floats as their hexadecimal text.

    Example:
        >>> canonical({"b": 0.5, "a": [1, None]})
        b'{"a":[1,null],"b":"0x1.0000000000000p-1"}'
    """
    return rfc8785.dumps(_exact(value))


def parsed(content: bytes, what: str) -> Any:
    """Canonical JSON, read strictly.

    Raises:
        Refused: for any other spelling of the same value too: duplicate keys, spaces,
            NaN, numbers that are no integers, and nesting deeper than ``DEEPEST``.
    """
    if len(content) > LONGEST_JSON:
        raise Refused(f"{what} has more than {LONGEST_JSON} bytes")
    if _depth(content) > DEEPEST:
        raise Refused(f"{what} is nested deeper than {DEEPEST}")
    try:
        value = json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
        )
        same = rfc8785.dumps(value) == content and not _has_float(value)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(f"{what} is no canonical JSON") from error
    if not same:
        raise Refused(f"{what} is no canonical JSON")
    return value


def number(text: Any, what: str) -> float:
    """A float that was written as hexadecimal text.

    Raises:
        Refused: for anything else, also for infinities and NaN.
    """
    try:
        value = float.fromhex(text)
    except (TypeError, ValueError, OverflowError) as error:
        raise Refused(f"{what}: expected a hexadecimal float") from error
    if not np.isfinite(value) or value.hex() != text:
        raise Refused(f"{what}: expected a finite hexadecimal float")
    return value


def packed(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as the bytes of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.asarray(a, order="C") for name, a in tensors.items()})


def unpacked(
    content: bytes, expected: Mapping[str, tuple[np.dtype, tuple[int, ...]]], what: str
) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, if they are exactly those expected.

    Raises:
        Refused: for other names, types, shapes, for holes, overlaps, more bytes than
            tensors, duplicate names, and numbers that are not finite.
    """
    if len(content) < 8:
        raise Refused(f"{what} is too short")
    length = int.from_bytes(content[:8], "little")
    if length > min(LONGEST_HEADER, len(content) - 8):
        raise Refused(f"{what} has an oversized header")
    body = memoryview(content)[8 + length :]
    table = _header(content[8 : 8 + length], what)
    if set(table) != set(expected):
        raise Refused(f"{what} has other tensors than the model")
    found, ends = {}, [(0, 0)]
    for name, (kind, shape) in expected.items():
        begin, end = _entry(table[name], kind, shape, what)
        if end > len(body):
            raise Refused(f"{what}: a tensor reaches beyond the file")
        ends.append((begin, end))
        found[name] = np.frombuffer(body[begin:end], kind).reshape(shape)
    ends.sort()
    if any(a[1] != b[0] for a, b in itertools.pairwise(ends)):
        raise Refused(f"{what}: its tensors overlap, or leave holes")
    if ends[-1][1] != len(body):
        raise Refused(f"{what} has bytes behind its tensors")
    if not all(np.isfinite(a).all() for a in found.values()):
        raise Refused(f"{what} has numbers that are not finite")
    return found


def state_digest(tensors: Mapping[str, np.ndarray]) -> bytes:
    """The Merkle root over tensors by name: of what they are, not of a file's bytes."""
    return merkle.root([_leaf(name, tensors[name]) for name in sorted(tensors)])


def _leaf(name: str, array: np.ndarray) -> bytes:
    """Name, type and shape with their lengths, then the bytes, little-endian."""
    array = np.asarray(array)
    raw = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    kind = raw.dtype.str.encode()
    sizes = b"".join(n.to_bytes(8, "little") for n in array.shape)
    parts = [name.encode(), kind, sizes, raw.tobytes()]
    return merkle.leaf(b"".join(len(p).to_bytes(8, "little") + p for p in parts))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _header(content: bytes, what: str) -> dict[str, Any]:
    if _depth(content) > 4:
        raise Refused(f"{what} has a header that is nested too deep")
    try:
        table = json.loads(content.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(f"{what} has a header that is no JSON") from error
    if not isinstance(table, dict):
        raise Refused(f"{what} has a header that is no table")
    return table


def _entry(
    entry: Any, kind: np.dtype, shape: tuple[int, ...], what: str
) -> tuple[int, int]:
    """Where a tensor's bytes are, if its entry says what was expected."""
    names = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != names:
        raise Refused(f"{what}: the entry of a tensor is malformed")
    if KINDS.get(str(entry["dtype"])) != kind or entry["shape"] != list(shape):
        raise Refused(f"{what}: a tensor has another type or shape than the model's")
    offsets = entry["data_offsets"]
    whole = isinstance(offsets, list) and len(offsets) == 2
    if not whole or any(type(n) is not int or n < 0 for n in offsets):
        raise Refused(f"{what}: the entry of a tensor is malformed")
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if offsets[1] - offsets[0] != size:
        raise Refused(f"{what}: a tensor has another size than the model's")
    return offsets[0], offsets[1]


def _exact(value: Any) -> Any:
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(k): _exact(v) for k, v in value.items()}
    return [_exact(v) for v in value] if isinstance(value, list | tuple) else value


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return (
        any(map(_has_float, value)) if isinstance(value, list) else type(value) is float
    )


def _depth(content: bytes) -> int:
    """How deep brackets are nested, those inside of texts left out: they close what
    was never opened."""
    brackets = np.frombuffer(TEXT.sub(b"", content), np.uint8)
    up = (brackets == ord("[")) | (brackets == ord("{"))
    down = (brackets == ord("]")) | (brackets == ord("}"))
    return int(np.cumsum(up.astype(np.int32) - down).max(initial=0))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError("no number")
