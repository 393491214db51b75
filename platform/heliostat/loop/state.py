"""States of blocks as named arrays, and the digests of states and rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

State = Mapping[str, np.ndarray]


class StrideDigests(NamedTuple):
    """The digests of one stride of one block."""

    stop: int  # the step it ends with
    state: bytes  # (32,) SHA-256 of the state after that step
    rows: bytes  # (32,) SHA-256 of the rows of its steps, and of what was observed


def digest(arrays: State) -> bytes:
    """SHA-256 over the names, types, shapes and bytes of named arrays.

    It does not depend on how the arrays were split over workers or devices, nor on the
    machine's byte order.
    """
    return batch_digests({name: np.asarray(arrays[name])[None] for name in arrays}, 1)[
        0
    ]


def batch_digests(arrays: State, count: int) -> list[bytes]:
    """The :func:`digest` of each entry along the leading axis of all arrays."""
    hashes = [hashlib.sha256() for _ in range(count)]
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        kind, payloads = _payloads(array)
        head = f"{name}|{kind}|{array.shape[1:]}|"
        for h, payload in zip(hashes, payloads, strict=True):
            h.update(f"{head}{len(payload)}|".encode())
            h.update(payload)
    return [h.digest() for h in hashes]


def _payloads(array: np.ndarray) -> tuple[str, list[bytes]]:
    """Type, and the bytes of each entry along the leading axis."""
    if array.dtype.kind in "OTU":  # text: each with its length before it
        texts = [[str(v).encode() for v in np.ravel(entry)] for entry in array]
        return "str", [
            b"".join(len(t).to_bytes(8, "big") + t for t in parts) for parts in texts
        ]
    array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
    return array.dtype.str, [entry.tobytes() for entry in array]


def rows_digest(rows: State, observed: State) -> bytes:
    """The digest of a stride: over its rows, and over what was observed at its end."""
    return digest(with_observed(rows, observed))


def with_observed(rows: State, observed: State) -> State:
    """Rows and what was observed as one table, whose names are never the same."""
    return {**rows, **{f"observed.{n}": v for n, v in observed.items()}}
