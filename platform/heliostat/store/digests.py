"""The digest chain of each block: what makes a run verifiable.

One chain per block of replicas (in a pack, per block of each cell), one link per
stride::

    link(0) = H(genesis, block)                    genesis = H(canonical spec)
    link(i) = H(link(i-1), step, H(state), H(rows))

An entry of ``/digests`` is a stride: SHA-256 of its state, of its rows, and the link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from heliostat.loop.state import StrideDigests
from heliostat.loop.work import Chunk
from heliostat.store.layout import cell_index, write_all_chunks


def first_link(genesis: str, block: int) -> bytes:
    return hashlib.sha256(f"{genesis}|{block}".encode()).digest()


def next_link(previous: bytes, stride: StrideDigests) -> bytes:
    step = stride.stop.to_bytes(8, "big")
    return hashlib.sha256(previous + step + stride.state + stride.rows).digest()


def write_chain(root: Any, chunk: Chunk, stride: int, geneses: Sequence[str]) -> None:
    """Go on with the chains that the strides of a chunk belong to.

    Args:
        geneses: what each chain begins with.
    """
    where, first = (*cell_index(chunk), chunk.block), chunk.start // stride
    if first == 0:
        links = [first_link(genesis, chunk.block) for genesis in geneses]
    else:
        before = np.reshape(root["digests"][(*where, first - 1, 2)], (-1, 32))
        links = [link.tobytes() for link in before]
    pairs = zip(links, chunk.strides, strict=True)
    table = np.stack([_chained(link, strides) for link, strides in pairs])
    entries = slice(first, first + len(chunk.strides[0]))
    digests = write_all_chunks(root["digests"])
    digests[(*where, entries)] = table if cell_index(chunk) else table[0]


def _chained(link: bytes, strides: Sequence[StrideDigests]) -> np.ndarray:
    """Digests of state and rows, and the link, of one stride after another."""
    table = np.empty((len(strides), 3, 32), np.uint8)
    for row, entry in zip(table, strides, strict=True):
        link = next_link(link, entry)
        row[:] = [np.frombuffer(d, np.uint8) for d in (*entry[1:], link)]
    return table
