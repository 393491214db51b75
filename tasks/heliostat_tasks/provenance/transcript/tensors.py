"""Checkpoints as safetensors files; a stranger's file is refused here.

``safetensors`` writes them. :func:`decode` reads them without it, and checks header,
names, types, shapes, offsets and numbers before it returns anything.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from heliostat.kernels import merkle
from heliostat_tasks.provenance.canonical import Refused, nesting, unique_keys

MAX_HEADER = 1 << 20
"""Bytes."""

DTYPES = {"F32": np.dtype("<f4"), "I32": np.dtype("<i4")}

TensorTypes = dict[str, tuple[np.dtype, tuple[int, ...]]]
"""Type and shape of each tensor, by name."""


def tensor_types(tensors: Mapping[str, np.ndarray]) -> TensorTypes:
    """Types and shapes of tensors, little-endian as in a file."""
    return {n: (a.dtype.newbyteorder("<"), a.shape) for n, a in tensors.items()}


def encode(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Write named arrays as the bytes of a safetensors file."""
    from safetensors.numpy import save

    return save({name: np.asarray(a, order="C") for name, a in tensors.items()})


def decode(content: bytes, expected: TensorTypes, label: str) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file, if they are exactly those expected.

    Args:
        content: a stranger's bytes.
        expected: type and shape of each tensor.
        label: name of the file, for messages.

    Raises:
        Refused: for a malformed header, for other names, types or shapes, for holes,
            overlaps, trailing bytes, duplicate names, and numbers that are not finite.
    """
    header, body = _split(content, label)
    if set(header) != set(expected):
        raise Refused(f"{label} has other tensors than the model")
    tensors, ends = {}, [(0, 0)]
    for name, (dtype, shape) in expected.items():
        begin, end = _offsets(header[name], dtype, shape, label)
        if end > len(body):
            raise Refused(f"{label}: a tensor reaches beyond the file")
        ends.append((begin, end))
        tensors[name] = np.frombuffer(body[begin:end], dtype).reshape(shape)
    _check_coverage(sorted(ends), len(body), label)
    if not all(np.isfinite(a).all() for a in tensors.values()):
        raise Refused(f"{label} has numbers that are not finite")
    return tensors


def state_digest(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Merkle root over tensors by name: it does not depend on the layout of a file."""
    return merkle.root([_leaf(name, tensors[name]) for name in sorted(tensors)])


def _leaf(name: str, array: np.ndarray) -> bytes:
    """Name, type and shape with their lengths, then the bytes, little-endian."""
    array = np.asarray(array)
    raw = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    dtype = raw.dtype.str.encode()
    sizes = b"".join(n.to_bytes(8, "little") for n in array.shape)
    parts = [name.encode(), dtype, sizes, raw.tobytes()]
    return merkle.leaf(b"".join(len(p).to_bytes(8, "little") + p for p in parts))


def _split(content: bytes, label: str) -> tuple[dict[str, Any], memoryview]:
    """Header and body of a file."""
    if len(content) < 8:
        raise Refused(f"{label} is too short")
    length = int.from_bytes(content[:8], "little")
    if length > min(MAX_HEADER, len(content) - 8):
        raise Refused(f"{label} has an oversized header")
    header = _header(content[8 : 8 + length], label)
    return header, memoryview(content)[8 + length :]


def _header(content: bytes, label: str) -> dict[str, Any]:
    if nesting(content) > 4:
        raise Refused(f"{label} has a header that is nested too deep")
    try:
        header = json.loads(content.decode(), object_pairs_hook=unique_keys)
    except (ValueError, RecursionError, OverflowError) as error:
        raise Refused(f"{label} has a header that is no JSON") from error
    if not isinstance(header, dict):
        raise Refused(f"{label} has a header that is no JSON object")
    return header


def _offsets(
    entry: Any, dtype: np.dtype, shape: tuple[int, ...], label: str
) -> tuple[int, int]:
    """First byte of a tensor and the end, if its entry is as expected."""
    names = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != names:
        raise Refused(f"{label}: the entry of a tensor is malformed")
    if DTYPES.get(str(entry["dtype"])) != dtype or entry["shape"] != list(shape):
        raise Refused(f"{label}: a tensor has another type or shape than the model's")
    offsets = entry["data_offsets"]
    pair = isinstance(offsets, list) and len(offsets) == 2
    if not pair or any(type(n) is not int or n < 0 for n in offsets):
        raise Refused(f"{label}: the entry of a tensor is malformed")
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if offsets[1] - offsets[0] != size:
        raise Refused(f"{label}: a tensor has another size than the model's")
    return offsets[0], offsets[1]


def _check_coverage(ends: list[tuple[int, int]], size: int, label: str) -> None:
    """Refuse tensors that do not cover a body exactly once."""
    if any(a[1] != b[0] for a, b in itertools.pairwise(ends)):
        raise Refused(f"{label}: its tensors overlap, or leave holes")
    if ends[-1][1] != size:
        raise Refused(f"{label} has bytes behind its tensors")
