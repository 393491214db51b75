"""Merkle trees: one digest that binds many leaves, and short proofs for each.

    leaf(d) = H(0x00 ‖ d)         node(l, r) = H(0x01 ‖ l ‖ r)

A tree of n leaves splits at the largest power of two below n, and an empty tree is
H("").  Leaves and nodes have prefixes, so neither can pass for the other, and no leaf
is repeated to fill a level, so no two lists of leaves have one root.

Reference: RFC 6962, section 2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Digest = bytes


def leaf(data: bytes) -> Digest:
    """Return the digest of one entry, H(0x00 ‖ d).

    Args:
        data: the entry.

    Returns:
        SHA-256, 32 bytes.

    Example:
        >>> leaf(b"").hex()[:16]
        '6e340b9cffb37a98'

    Reference: RFC 6962, section 2.1.
    """
    return hashlib.sha256(b"\0" + data).digest()


def root(leaves: Sequence[Digest]) -> Digest:
    """Return the root over digests of leaves.

    Level by level: pairs are joined and a single last node moves up, which is the same
    tree as splitting at powers of two.

    Args:
        leaves: digests of :func:`leaf`, in order.

    Returns:
        SHA-256, 32 bytes.

    Example:
        >>> root([]).hex()[:16]
        'e3b0c44298fc1c14'

    Reference: RFC 6962, section 2.1 (``MTH``).
    """
    level = list(leaves)
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def proof(leaves: Sequence[Digest], index: int) -> list[Digest]:
    """Return the proof that a leaf belongs to the root: its siblings on the way up.

    Args:
        leaves: digests of :func:`leaf`, in order.
        index: index of the leaf.

    Returns:
        At most ⌈log₂ n⌉ digests, from the leaf's level up.

    Raises:
        IndexError: if there is no such leaf.

    Example:
        >>> leaves = [leaf(bytes([i])) for i in range(5)]
        >>> len(proof(leaves, 0)), len(proof(leaves, 4))
        (3, 1)

    Reference: RFC 6962, section 2.1.1 (``PATH``).
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level, path = list(leaves), []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level, index = _next_level(level), index // 2
    return path


def verify_proof(
    leaf: Digest, index: int, count: int, path: Sequence[Digest], root: Digest
) -> bool:
    """Check the proof that a leaf is the one at ``index`` of ``count``.

    Args:
        leaf: its digest.
        index: its place, from 0.
        count: number of leaves of the tree.
        path: the proof, of :func:`proof`.
        root: root of the tree.

    Returns:
        True if the proof leads from the leaf to the root.

    Example:
        >>> leaves = [leaf(bytes([i])) for i in range(5)]
        >>> verify_proof(leaves[4], 4, 5, proof(leaves, 4), root(leaves))
        True
    """
    if not 0 <= index < count:
        return False
    node, rest = leaf, list(path)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return False
            sibling = rest.pop(0)
            node = _node(sibling, node) if index % 2 else _node(node, sibling)
        index, count = index // 2, (count + 1) // 2
    return not rest and node == root


def _next_level(level: list[Digest]) -> list[Digest]:
    pairs = zip(level[::2], level[1::2], strict=False)
    return [_node(a, b) for a, b in pairs] + level[len(level) & ~1 :]


def _node(left: Digest, right: Digest) -> Digest:
    return hashlib.sha256(b"\1" + left + right).digest()
