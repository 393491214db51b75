"""Cost of a replay, estimated from the fields before anything is computed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from heliostat_tasks.provenance.models import tensor_specs
from heliostat_tasks.provenance.task import Provenance

Item = TypeVar("Item")

MAX_DATA = 1 << 30
"""Bytes of records; several copies are in memory."""

MIN_SPEED = 5e8
"""Operations per second of a slow core on small matrices."""


class ReplayBudget(NamedTuple):
    """Resources that a verifier is willing to spend."""

    memory: float = 4 * 2**30  # bytes of each worker
    seconds: float = 1800.0  # for one segment
    total: float = 24 * 3600.0  # seconds for the whole audit, by the clock


UNLIMITED = ReplayBudget(math.inf, math.inf, math.inf)


class ReplayCost(NamedTuple):
    """An estimate, right within a factor of a few."""

    parameters: int
    bytes: float  # memory of one worker: states, gradients, activations, records
    flops: float  # operations of one segment


class OverBudget(Exception):
    """A replay would take more than the verifier's budget."""


def estimate_cost(task: Provenance, records: int) -> ReplayCost:
    """Estimate the cost of replaying a segment.

    Args:
        task: the training.
        records: number of records.
    """
    specs = tensor_specs(task.architecture).values()
    parameters = sum(math.prod(spec.shape) for spec in specs)
    positions = task.length if task.model == "tiny-lm" else 1
    seen = task.batch * positions
    per_position = 16 * task.channels * task.layers + 2 * 256
    if task.model == "tiny-lm":
        per_position += 3 * task.heads * task.length * task.layers
    states = 4 * (12 * parameters + 3 * seen * per_position)
    attention = 2 * task.length * task.channels * task.layers
    flops = 6 * (parameters + attention) * seen * min(task.segment, task.train)
    memory = states + records * (task.length + 1 + 64)
    return ReplayCost(parameters, memory, flops)


def check_budget(task: Provenance, records: int, budget: ReplayBudget) -> None:
    """Refuse a training whose replay would exceed a budget.

    Raises:
        OverBudget: naming the limit.
    """
    if records * (task.length + 1) > MAX_DATA:
        raise OverBudget(f"there are more than {MAX_DATA >> 30} GiB of records")
    cost = estimate_cost(task, records)
    if cost.bytes > budget.memory:
        raise OverBudget(
            f"a segment would take {cost.bytes / 2**30:.1f} GiB, the limit is "
            f"{budget.memory / 2**30:.1f}"
        )
    seconds = cost.flops / MIN_SPEED
    if seconds > budget.seconds:
        raise OverBudget(
            f"a segment might take {seconds:.0f} s, the limit is {budget.seconds:.0f}"
        )


class Deadline:
    """The time by which an audit must end."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def enforce(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the same items.

        Raises:
            OverBudget: after the deadline.
        """
        for item in items:
            if time.monotonic() > self.end:
                raise OverBudget(f"it took longer than {self.seconds:g} s in all")
            yield item
