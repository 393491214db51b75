"""Valid ranges of the fields; those of a transcript are checked before any compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RANGES = {
    "length": (1, 2048),
    "channels": (1, 1024),
    "layers": (1, 24),
    "heads": (1, 64),
    "batch": (1, 4096),
    "train": (1, 1_000_000),
    "segment": (1, 100_000),
    "held_out": (0, 1_000_000),
    "warmup": (0, 1_000_000),
}

MAX_CHECKPOINTS = 20_000
"""Segments of a training: their digests are one signed table."""


def check_fields(spec: Mapping[str, Any]) -> None:
    """Refuse fields outside of their ranges.

    Args:
        spec: fields by name, without data and nonce.

    Raises:
        ValueError: naming the value and its range.
    """
    for name, (least, most) in RANGES.items():
        if not least <= spec[name] <= most:
            raise ValueError(f"{name} {spec[name]}: expected {least} to {most}")
    if spec["train"] > MAX_CHECKPOINTS * spec["segment"]:
        least = -(-spec["train"] // MAX_CHECKPOINTS)
        raise ValueError(
            f"segment {spec['segment']}: expected at least {least}, for no more than "
            f"{MAX_CHECKPOINTS:,} checkpoints"
        )
    if not 0 < spec["lr"] < 1:
        raise ValueError(f"lr {spec['lr']}: expected more than 0 and less than 1")
    if not 0 <= spec["decay"] < 1:
        raise ValueError(f"decay {spec['decay']}: expected 0 to less than 1")
    if not 0 < spec["clip"] <= 1e6:
        raise ValueError(f"clip {spec['clip']}: expected more than 0, up to 1e6")
    if spec["model"] == "tiny-lm" and spec["channels"] % spec["heads"]:
        raise ValueError(f"channels {spec['channels']}: expected a multiple of heads")


def check_nonce(nonce: str) -> None:
    """Refuse a nonce that is not hexadecimal.

    Raises:
        ValueError: naming the nonce.
    """
    try:
        bytes.fromhex(nonce)
    except ValueError:
        raise ValueError(f"nonce {nonce!r}: expected hexadecimal digits") from None
