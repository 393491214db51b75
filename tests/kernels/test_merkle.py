"""Merkle trees against RFC 6962 and a slow oracle that splits as its text does."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.kernels import merkle

ENTRIES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    bytes(range(0x60, 0x70)),
]
"""Eight entries whose roots the test suites of certificate-transparency logs share."""

ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def slow(entries):
    """MTH of section 2.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while 2 * k < len(entries):
        k *= 2
    both = slow(entries[:k]) + slow(entries[k:])
    return hashlib.sha256(b"\x01" + both).digest()


@pytest.mark.parametrize("count", ROOTS)
def test_roots_are_those_of_certificate_transparency(count):
    leaves = [merkle.leaf(entry) for entry in ENTRIES[:count]]
    assert merkle.root(leaves).hex() == ROOTS[count]


@given(st.lists(st.binary(max_size=4), max_size=40))
def test_levels_give_the_tree_of_the_text(entries):
    assert merkle.root([merkle.leaf(e) for e in entries]) == slow(entries)


@pytest.mark.parametrize("count", range(1, 18))
def test_each_leaf_has_a_proof_and_no_other_has_it(count):
    leaves = [merkle.leaf(bytes([i])) for i in range(count)]
    root = merkle.root(leaves)
    for index in range(count):
        path = merkle.proof(leaves, index)
        assert merkle.verify_proof(leaves[index], index, count, path, root)
        assert not merkle.verify_proof(merkle.leaf(b"other"), index, count, path, root)
        for other in set(range(-1, count + 1)) - {index}:
            assert not merkle.verify_proof(leaves[index], other, count, path, root)
        assert not merkle.verify_proof(leaves[index], index, count, [*path, root], root)
        if path:
            assert not merkle.verify_proof(leaves[index], index, count, path[:-1], root)


def test_a_node_is_no_leaf_and_nothing_is_repeated():
    a, b, c = (merkle.leaf(bytes([i])) for i in range(3))
    assert merkle.root([merkle.root([a, b]), c]) == merkle.root([a, b, c])  # by design
    assert merkle.leaf(a + b) != merkle.root([a, b])
    assert merkle.root([a, b, c]) != merkle.root([a, b, c, c])


def test_a_leaf_that_is_not_there_has_no_proof():
    with pytest.raises(IndexError, match="leaf 3 of 3"):
        merkle.proof([merkle.leaf(b"")] * 3, 3)
