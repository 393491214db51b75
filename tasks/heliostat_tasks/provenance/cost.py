"""What a replay would take, from the fields alone: told before anything is computed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from heliostat_tasks.provenance.models import MODELS

if TYPE_CHECKING:
    from heliostat_tasks.provenance.task import Provenance

Thing = TypeVar("Thing")

MOST_DATA = 1 << 30
"""Bytes of records; they are held in memory, several times."""

SLOWEST = 5e8
"""Operations per second that even a slow core makes of small matrices."""


class Budget(NamedTuple):
    """What a verifier is willing to spend."""

    memory: float = 4 * 2**30  # bytes of each worker
    seconds: float = 1800.0  # for one segment
    total: float = 24 * 3600.0  # seconds for all of it, by the clock


UNLIMITED = Budget(math.inf, math.inf, math.inf)


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
    flops = 6 * (parameters + attention) * seen * min(task.segment, task.train)
    memory = held + records * (task.length + 1 + 64)
    return Cost(parameters, memory, flops)


def within(task: Provenance, records: int, budget: Budget) -> Cost:
    """The cost of a segment, if it is within the budget.

    Raises:
        Beyond: saying which limit it is not within.
    """
    if records * (task.length + 1) > MOST_DATA:
        raise Beyond(f"there are more than {MOST_DATA >> 30} GiB of records")
    found = cost(task, records)
    if found.bytes > budget.memory:
        raise Beyond(
            f"a segment would take {found.bytes / 2**30:.1f} GiB, the limit is "
            f"{budget.memory / 2**30:.1f}"
        )
    seconds = found.flops / SLOWEST
    if seconds > budget.seconds:
        raise Beyond(
            f"a segment might take {seconds:.0f} s, the limit is {budget.seconds:.0f}"
        )
    return found


class Deadline:
    """The clock that a whole verification is kept to."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def kept(self, things: Iterable[Thing]) -> Iterator[Thing]:
        """The same things.

        Raises:
            Beyond: once time is over.
        """
        for thing in things:
            if time.monotonic() > self.end:
                raise Beyond(f"it took longer than {self.seconds:g} s in all")
            yield thing
