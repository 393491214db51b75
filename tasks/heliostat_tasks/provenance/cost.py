"""What a replay would take, from the fields alone: told before anything is computed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from heliostat_tasks.provenance.models import MODELS

if TYPE_CHECKING:
    from heliostat_tasks.provenance.task import Provenance

SLOWEST = 5e8
"""Operations per second that even a slow core makes of small matrices."""


class Limits(NamedTuple):
    """What a verifier is willing to spend."""

    memory: float = 4 * 2**30  # bytes of each worker
    seconds: float = 1800.0  # for one segment


class Cost(NamedTuple):
    """An estimate, right within a factor of a few."""

    parameters: int
    bytes: float  # of one worker: states, gradients, activations, records
    flops: float  # of one segment


class Beyond(Exception):
    """A transcript whose replay would take more than the verifier's limits."""


def cost(task: Provenance, records: int) -> Cost:
    """Of replaying a segment of a task with so many records."""
    tensors = MODELS[task.model].tensors(task).values()
    parameters = sum(math.prod(tensor.shape) for tensor in tensors)
    places = task.length if task.model == "tiny-lm" else 1
    seen = task.batch * places
    per_place = 16 * task.channels * task.layers + 2 * 256
    if task.model == "tiny-lm":
        per_place += 3 * task.heads * task.length * task.layers
    held = 4 * (12 * parameters + 3 * seen * per_place)
    attention = 2 * task.length * task.channels * task.layers
    flops = 6 * (parameters + attention) * seen * task.segment
    return Cost(parameters, held + records * (task.length + 1 + 64), flops)


def within(task: Provenance, records: int, limits: Limits) -> Cost:
    """The cost of a segment, if it is within the limits.

    Raises:
        Beyond: saying which limit it is not within.
    """
    found = cost(task, records)
    if found.bytes > limits.memory:
        raise Beyond(
            f"a segment would take {found.bytes / 2**30:.1f} GiB, the limit is "
            f"{limits.memory / 2**30:.1f}"
        )
    seconds = found.flops / SLOWEST
    if seconds > limits.seconds:
        raise Beyond(
            f"a segment might take {seconds:.0f} s, the limit is {limits.seconds:.0f}"
        )
    return found
