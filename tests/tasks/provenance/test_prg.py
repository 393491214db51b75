"""Numbers from a seed: exact, and the same on every machine."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest

from heliostat_tasks.provenance import prg

SEED = bytes(range(32))


def bytes_of(label, count):
    head = b"heliostat/provenance/" + len(label).to_bytes(4, "big") + label.encode()
    return hashlib.shake_256(head + SEED).digest(count)


@pytest.mark.parametrize("bound", [1.0, 0.0346, 1 / 3])
def test_weights_are_rounded_once(bound):
    """Against exact fractions: (u / 2²³ − 1) · bound, to the nearest float32."""
    result = prg.weights(SEED, "w", (5, 7), bound)
    raw = bytes_of("weights/w", 105)
    limit = Fraction(float(np.float32(bound)))
    for i, value in enumerate(result.ravel()):
        u = int.from_bytes(raw[3 * i : 3 * i + 3], "little")
        exact = (Fraction(u, 1 << 23) - 1) * limit
        steps = [np.nextafter(value, np.float32(s)) for s in (-np.inf, np.inf)]
        gap = abs(Fraction(float(value)) - exact)
        assert all(gap <= abs(Fraction(float(s)) - exact) for s in steps)


def test_order_is_by_128_bit_keys():
    raw = bytes_of("order", 16 * 1000)
    keys = [int.from_bytes(raw[16 * i : 16 * i + 16], "big") for i in range(1000)]
    slow = sorted(range(1000), key=lambda i: keys[i])
    assert prg.permutation(SEED, 1000).tolist() == slow


def test_the_numbers_of_a_seed_never_change():
    """Pinned: a change here breaks every transcript that exists."""
    weights = prg.weights(SEED, "embed", (64, 3), 0.5)
    assert hashlib.sha256(weights.tobytes()).hexdigest()[:16] == "e3f1c6c7a1948dd3"
    order = prg.permutation(SEED, 5000)
    assert hashlib.sha256(order.tobytes()).hexdigest()[:16] == "d10e0ff9d39a6587"
    seed = prg.seed_of(bytes(32), b"spec", b"nonce")
    assert seed.hex()[:16] == "cfba1f8e78e09313"


def test_each_ingredient_changes_the_seed():
    given = [bytes(32), b"spec", b"nonce"]
    seeds = {prg.seed_of(*given)}
    for i in range(3):
        other = list(given)
        other[i] = b"x" * 32
        seeds.add(prg.seed_of(*other))
    assert len(seeds) == 4
    moved = prg.seed_of(bytes(32), b"specn", b"once")
    assert moved not in seeds  # boundaries are part of what is hashed


def test_one_changed_byte_moves_nearly_every_record():
    """A random permutation of n leaves one in place on average."""
    orders = [
        prg.permutation(hashlib.sha256(bytes([i])).digest(), 10_000) for i in (0, 1)
    ]
    assert (orders[0] == orders[1]).sum() < 10  # false alarm: 1e-7


def test_weights_fill_their_range_evenly():
    result = prg.weights(SEED, "many", (200_000,), 2.0)
    assert result.min() >= -2 and result.max() < 2
    counts = np.histogram(result, 20, (-2, 2))[0]
    chi2 = ((counts - 10_000) ** 2 / 10_000).sum()
    assert chi2 < 57  # 19 degrees of freedom: false alarm 1e-5
