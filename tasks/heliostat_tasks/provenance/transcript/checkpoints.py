"""Checks of the signed tables of a transcript: checkpoints and environments."""

from __future__ import annotations

import math
import re
from typing import Any

from heliostat_tasks.provenance.canonical import Refused
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript.file_format import (
    TRANSCRIPT,
    checkpoint_steps,
)
from heliostat_tasks.provenance.transcript.schema import (
    check_hex,
    check_integer,
    check_table,
)
from heliostat_tasks.provenance.transcript.tensors import TensorTypes

LAYOUT = re.compile(r"[0-9]{1,4} [a-z]{1,8}( in [0-9]{1,4} processes)?")
"""Devices of a training, in the platform's words."""

Entries = dict[int, dict[str, Any]]
"""Entries of checkpoints, by step."""


def check_entries(value: Any, task: Provenance, types: TensorTypes) -> Entries:
    """Return one entry per checkpoint, none larger than its tensors.

    Raises:
        Refused: for other steps, sizes or digits.
    """
    steps, entries = checkpoint_steps(task), {}
    if not isinstance(value, list) or len(value) != len(steps):
        raise Refused("there are other checkpoints than one per segment")
    size = sum(dtype.itemsize * math.prod(shape) for dtype, shape in types.values())
    for step, entry in zip(steps, value, strict=True):
        entries[step] = _check_entry(entry, step, size)
    return entries


def _check_entry(value: Any, step: int, tensors: int) -> dict[str, Any]:
    names = {"environment", "sha256", "size", "state", "step"}
    entry = check_table(value, names, TRANSCRIPT)
    if entry["step"] != step or isinstance(entry["step"], bool):
        raise Refused("there are other checkpoints than one per segment")
    size = check_integer(entry["size"], "the size of a checkpoint", tensors)
    if size > tensors + (1 << 20):
        raise Refused("a checkpoint is larger than its tensors")
    for name in ("sha256", "state"):
        check_hex(entry[name], 32, "the digest of a checkpoint")
    return entry


def check_environments(value: Any, entries: Entries) -> list[tuple[str, str]]:
    """Return layout and fingerprint of each segment, which its checkpoint refers to.

    Raises:
        Refused: for a malformed table, or a reference outside of it.
    """
    if not isinstance(value, list) or not value:
        raise Refused("the environments are malformed")
    table = [_check_environment(entry) for entry in value]
    numbers = [entry["environment"] for entry in entries.values()]
    if any(type(i) is not int or not 0 <= i < len(table) for i in numbers):
        raise Refused("a checkpoint is from an environment that is none of those told")
    return [table[i] for i in numbers[1:]]


def _check_environment(value: Any) -> tuple[str, str]:
    body = check_table(value, {"fingerprint", "layout"}, "the environment")
    layout, fingerprint = body["layout"], body["fingerprint"]
    if not isinstance(layout, str) or not LAYOUT.fullmatch(layout):
        raise Refused("the environments are malformed")
    short = isinstance(fingerprint, str) and len(fingerprint) <= 64
    if not short or not fingerprint.isascii():
        raise Refused("the environments are malformed")
    return layout, fingerprint
