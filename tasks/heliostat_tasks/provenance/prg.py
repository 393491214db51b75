"""Pseudorandom generator: initial weights and order of the data, from a seed.

Both are integers made of bytes of SHAKE-256, so they are the same on every machine and
in every version of every library::

    seed   = SHA-256("heliostat/provenance/seed/v1" ‖ data root ‖ H(spec) ‖ H(nonce))
    weight = (u · 2⁻²³ − 1) · bound,    u of 24 bits      one rounding, in float32
    order  = records by 128-bit keys, ties by their number

The paper hashes every record into the seed, H(H(d₁) ∘ … ∘ s_rand). A Merkle root binds
the same records, and gives short proofs of membership.

Reference: Choi, Shavit and Duvenaud, arXiv:2307.00682, section 4.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32

PREFIX = b"heliostat/provenance/"


def seed_of(data_root: bytes, spec: bytes, nonce: bytes) -> bytes:
    """Compute the seed of a training from data, fields and a nonce.

    Args:
        data_root: (32,) Merkle root of the records.
        spec: canonical JSON of the fields.
        nonce: drawn by somebody else, after data and fields were committed.

    Returns:
        (32,) bytes.
    """
    parts = (data_root, hashlib.sha256(spec).digest(), hashlib.sha256(nonce).digest())
    return hashlib.sha256(PREFIX + b"seed/v1" + b"".join(parts)).digest()


def weights(
    seed: bytes, name: str, shape: Sequence[int], bound: float
) -> Float32[np.ndarray, ...]:
    """Draw a named tensor uniformly from [−bound, bound).

    Args:
        seed: (32,) bytes.
        name: name of the tensor; each name has numbers of its own.
        shape: shape of the tensor.
        bound: largest absolute value.

    Returns:
        ``shape`` float32.

    Example:
        >>> float(weights(bytes(32), "w", (2, 2), 1.0)[0, 0])
        -0.2330695390701294
    """
    count = int(np.prod(shape, dtype=np.int64))
    raw = np.frombuffer(_bytes(seed, f"weights/{name}", 3 * count), np.uint8)
    u = raw.reshape(-1, 3).astype(np.int32) @ np.array([1, 1 << 8, 1 << 16], np.int32)
    centred = (u - (1 << 23)).astype(np.float32) * np.float32(2.0**-23)  # exact
    return (centred * np.float32(bound)).reshape(tuple(shape))


def permutation(seed: bytes, count: int) -> Int32[np.ndarray, " count"]:
    """Draw a permutation of ``count`` records.

    Args:
        seed: (32,) bytes.
        count: number of records.

    Returns:
        (count,) int32.

    Example:
        >>> permutation(bytes(32), 5).tolist()
        [4, 2, 3, 1, 0]
    """
    raw = np.frombuffer(_bytes(seed, "order", 16 * count), ">u8").reshape(-1, 2)
    return np.lexsort((raw[:, 1], raw[:, 0])).astype(np.int32)


def _bytes(seed: bytes, label: str, count: int) -> bytes:
    """SHAKE-256 of the label, with its length before it, and the seed."""
    name = label.encode()
    head = PREFIX + len(name).to_bytes(4, "big") + name
    return hashlib.shake_256(head + seed).digest(count)
