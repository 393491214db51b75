"""What a task's fields must satisfy, each said in one line.

The same ranges hold for the fields of a transcript, before anything is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs

if TYPE_CHECKING:
    from heliostat_tasks.provenance.task import Provenance

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

CHECKPOINTS = 20_000
"""Most segments of a training: their digests are one signed table."""


def check(task: Provenance) -> None:
    """Refuse fields that make no sense.

    Raises:
        ValueError: with what was given and what was expected.
    """
    for name, (least, most) in RANGES.items():
        if not least <= getattr(task, name) <= most:
            given = getattr(task, name)
            raise ValueError(f"{name} {given}: expected {least} to {most}")
    if task.train > CHECKPOINTS * task.segment:
        least = -(-task.train // CHECKPOINTS)
        raise ValueError(
            f"segment {task.segment}: expected at least {least}, for no more than "
            f"{CHECKPOINTS:,} checkpoints"
        )
    if not 0 < task.lr < 1:
        raise ValueError(f"lr {task.lr}: expected more than 0 and less than 1")
    if not 0 <= task.decay < 1:
        raise ValueError(f"decay {task.decay}: expected 0 to less than 1")
    if not 0 < task.clip <= 1e6:
        raise ValueError(f"clip {task.clip}: expected more than 0, up to 1e6")
    hs.check_used(task, {"heads": (task.model == "tiny-lm", "model tiny-lm")})
    if task.model == "tiny-lm" and task.channels % task.heads:
        raise ValueError(f"channels {task.channels}: expected a multiple of heads")
    try:
        bytes.fromhex(task.nonce)
    except ValueError:
        raise ValueError(f"nonce {task.nonce!r}: expected hexadecimal digits") from None
