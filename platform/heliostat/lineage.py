"""Runs that begin where another one stands: its children.

    identity["parent"] = {"run": id, "step": t, "states": [SHA-256 of each block's]}

A child is a run of its own.  Its steps count from 1, its randomness is that of its own
seed, and the state that it begins from is kept in its own record as that of step 0: it
is resumed, extended and verified without its parent.  The same state makes the same
child, whatever became of the parent since.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from heliostat import registry
from heliostat.checkpoint import State, digest
from heliostat.errors import RequestError
from heliostat.grid import blocks_of
from heliostat.record import Record
from heliostat.stored import Run
from heliostat.task import Task


class Parent(NamedTuple):
    """Whose state, after which step, a run begins from."""

    run: str
    step: int
    states: tuple[State, ...]  # of each block

    @property
    def identity(self) -> dict[str, Any]:
        """What a child's identity says of it, as JSON values."""
        states = [digest(state).hex() for state in self.states]
        return {"run": self.run, "step": self.step, "states": states}


def parent_of(task: Task, x64: bool, run: Run, step: int = -1) -> Parent:
    """The parent that a run is to a new one.

    Args:
        task: of the new run.
        run: any whose task is of the same class and as wide.
        step: after which its states are taken, one of its kept ones; -1 is the last.

    Raises:
        RequestError: if the new run cannot go on from there.
        StoreError: if the states are damaged.
    """
    identity, name = run.spec.identity, registry.name_of(type(task))
    wanted = {"task": name, "x64": x64, "width": task.width}
    for what, value in wanted.items():
        if identity[what] != value:
            told = f"its {what} is {identity[what]}, expected {value}"
            raise RequestError(f"run {run.id} cannot be the parent: {told}")
    if run.task.replicas != task.replicas:
        told = f"it has {run.task.replicas} replicas, expected {task.replicas}"
        raise RequestError(f"run {run.id} cannot be the parent: {told}")
    blocks = range(blocks_of(task))
    kept = sorted(set.intersection(*(set(run.kept(block)) for block in blocks)))
    at = run.kept_at(step, kept)
    return Parent(run.id, at, tuple(run.record.checkpoints.load(b, at) for b in blocks))


def told_of(record: Record) -> dict[str, Any] | None:
    """What a run says of its parent; None if it began from nothing."""
    return record.spec.identity.get("parent")


def first_states(record: Record) -> list[bytes]:
    """The digests of the states that a run began from, one for each block; none if it
    has no parent."""
    told = told_of(record)
    return [bytes.fromhex(state) for state in told["states"]] if told else []


def disagreement(run: Run) -> str:
    """Where a parent in the same store says something else of its state; or nothing.

    A parent that is not there, or does not have the step any more, says nothing.
    """
    told = told_of(run.record)
    path = run.path.with_name(told["run"]) if told else run.path
    if not told or not path.exists():
        return ""
    record = Record(path)
    for block, state in enumerate(first_states(run.record)):
        strides = record.strides(block, record.spec.identity["stride"])
        by_step = {stride.stop: stride.state for stride, _ in strides}
        if by_step.get(told["step"], state) != state:
            where = f"block {block} at step {told['step']}"
            return f"the parent {told['run']} has another state of {where}"
    return ""
