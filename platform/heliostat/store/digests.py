"""The digest chain of each block: what makes a run verifiable.

A block has one chain (in a pack, a block of each cell), with one link a stride::

    link(0) = H(genesis, block)                    genesis = H(canonical spec)
    link(i) = H(link(i-1), step, H(state), H(rows))

An entry of the array ``/digests`` is a stride: the SHA-256 of its state, the SHA-256 of
its rows, and the link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from heliostat.errors import StoreError
from heliostat.loop.state import NamedArrays, StrideDigests, batch_digests
from heliostat.loop.work import Chunk
from heliostat.store.zarr_format import cell_index, write_all_chunks


def first_link(genesis: str, block: int) -> bytes:
    """Return link(0) of a block, ``(32,)``."""
    return hashlib.sha256(f"{genesis}|{block}".encode()).digest()


def next_link(previous: bytes, stride: StrideDigests) -> bytes:
    """Return the link of a stride from the one before it, ``(32,)``."""
    step = stride.stop.to_bytes(8, "big")
    return hashlib.sha256(previous + step + stride.state + stride.rows).digest()


def write_chain(root: Any, chunk: Chunk, stride: int, geneses: Sequence[str]) -> None:
    """Extend the chain of each member by the strides of a chunk.

    Args:
        geneses: geneses of the chains, by member.
    """
    cells, first = cell_index(chunk), chunk.start // stride
    at = (*cells, chunk.block)
    if first == 0:
        links = [first_link(genesis, chunk.block) for genesis in geneses]
    else:
        previous = np.reshape(root["digests"][(*at, first - 1, 2)], (-1, 32))
        links = [link.tobytes() for link in previous]
    chains = zip(links, chunk.strides, strict=True)
    table = np.stack([_chained(link, strides) for link, strides in chains])
    entries = slice(first, first + len(chunk.strides[0]))
    digests = write_all_chunks(root["digests"])
    digests[(*at, entries)] = table if cells else table[0]


def entries(
    table: np.ndarray, stride: int, stop: int
) -> list[tuple[StrideDigests, bytes]]:
    """Return digests and link of each stride from the stored entries of a block.

    Args:
        table: entries of ``/digests``, ``(strides, 3, 32)`` uint8.
        stop: last step of the last stride, which may be a short one.
    """
    stops = [min((i + 1) * stride, stop) for i in range(len(table))]
    return [
        (StrideDigests(s, row[0].tobytes(), row[1].tobytes()), row[2].tobytes())
        for s, row in zip(stops, table, strict=True)
    ]


def checked_state(
    state: NamedArrays, expected: np.ndarray, subject: str
) -> NamedArrays:
    """Return a state, if the chain has its digests.

    Args:
        state: arrays of all members, ``(members, ...)``.
        expected: digests of their states in the chain, ``(members, 32)`` uint8.
        subject: beginning of the message.

    Raises:
        StoreError: if a digest differs.
    """
    digests = b"".join(batch_digests(state, len(expected)))
    if digests != np.ascontiguousarray(expected).tobytes():
        raise StoreError(f"{subject}: the kept state is damaged, or of another run")
    return state


def _chained(link: bytes, strides: Sequence[StrideDigests]) -> np.ndarray:
    """Return entries of ``/digests`` for successive strides, ``(strides, 3, 32)``."""
    table = np.empty((len(strides), 3, 32), np.uint8)
    for row, stride in zip(table, strides, strict=True):
        link = next_link(link, stride)
        row[:] = [np.frombuffer(d, np.uint8) for d in (stride.state, stride.rows, link)]
    return table
