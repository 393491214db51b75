"""Named arrays of states and rows, and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

NamedArrays = Mapping[str, np.ndarray]
"""Arrays by name: a stored state, or a table of rows."""


class StrideDigests(NamedTuple):
    """The digests of one stride of one block of one run."""

    stop: int  # the step it ends with
    state: bytes  # (32,) SHA-256 of the state after that step
    rows: bytes  # (32,) SHA-256 of the rows of its steps, and of what was observed


def digest(arrays: NamedArrays) -> bytes:
    """Return the SHA-256 of the names, dtypes, shapes and bytes of named arrays.

    The digest does not depend on the split over workers or devices, nor on the
    machine's byte order.

    Example:
        >>> import numpy as np
        >>> digest({"x": np.zeros(2, ">f4")}) == digest({"x": np.zeros(2, "<f4")})
        True
    """
    batch = {name: np.asarray(arrays[name])[None] for name in arrays}
    return batch_digests(batch, 1)[0]


def batch_digests(arrays: NamedArrays, count: int) -> list[bytes]:
    """Return the :func:`digest` of each entry along the leading axis of all arrays."""
    hashes = [hashlib.sha256() for _ in range(count)]
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        kind, payloads = _payloads(array)
        head = f"{name}|{kind}|{array.shape[1:]}|"
        for h, payload in zip(hashes, payloads, strict=True):
            h.update(f"{head}{len(payload)}|".encode())
            h.update(payload)
    return [h.digest() for h in hashes]


def contradiction(stored: NamedArrays, fresh: NamedArrays) -> str:
    """Return the name of an array that differs beyond rounding; "" if none does.

    Example:
        >>> one = {"x": np.float32([1.0, np.nan])}
        >>> contradiction(one, {"x": np.float32([1.0001, np.nan])})
        ''
        >>> contradiction(one, {"x": np.float32([1.1, np.nan])})
        'x'
    """
    names = (n for n in sorted(fresh) if not _close(stored[n], fresh[n]))
    return next(names, "")


def relative_difference(new: np.ndarray, stored: np.ndarray) -> float:
    """Return the largest difference, relative to the largest stored value.

    Two NaN at the same place are equal; one NaN, or another text, is infinitely far.

    Example:
        >>> import numpy as np
        >>> relative_difference(np.array([1.5, np.nan]), np.array([2.0, np.nan]))
        0.25
    """
    if stored.dtype.kind not in "fiu":
        return 0.0 if np.array_equal(new, stored) else np.inf
    new, stored = new.astype(float), stored.astype(float)
    scale = max(float(np.nanmax(np.abs(stored), initial=0.0)), 1e-12)
    gap = np.abs(new - stored)
    gap = np.where(np.isnan(new) & np.isnan(stored), 0.0, gap)
    gap = np.where(np.isnan(gap), np.inf, gap)
    return float(np.max(gap, initial=0.0)) / scale


def _close(stored: np.ndarray, fresh: np.ndarray) -> bool:
    if stored.dtype.kind != "f" or stored.shape != fresh.shape:
        return np.array_equal(stored, fresh)
    finite = np.abs(fresh[np.isfinite(fresh)])
    limit = float(np.finfo(stored.dtype).eps) ** 0.5 * (1 + finite.max(initial=0.0))
    return np.allclose(stored, fresh, rtol=0.0, atol=limit, equal_nan=True)


def rows_digest(rows: NamedArrays, observed: NamedArrays) -> bytes:
    """Return the digest of a stride's rows and of what was observed at its end."""
    return digest(with_observed(rows, observed))


def with_observed(rows: NamedArrays, observed: NamedArrays) -> NamedArrays:
    """Return one table of rows and observations, with names that cannot collide."""
    return {**rows, **{f"observed.{n}": v for n, v in observed.items()}}


def _payloads(array: np.ndarray) -> tuple[str, list[bytes]]:
    """Return the dtype's name, and the bytes of each entry along the leading axis."""
    if array.dtype.kind in "OTU":  # text: each with its length before it
        texts = [[str(v).encode() for v in np.ravel(entry)] for entry in array]
        return "str", [
            b"".join(len(t).to_bytes(8, "big") + t for t in parts) for parts in texts
        ]
    array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return array.dtype.str, [entry.tobytes() for entry in array]
