"""Runs that start from a kept state of another run, their parent.

    identity["parent"] = {"run": id, "step": t, "states": [SHA-256 of each block's]}

A child is a run of its own.  Its steps count from 1, its randomness is that of its own
seed, and its own record keeps the state that it starts from as that of step 0: it is
resumed, extended and verified without its parent.  The same state makes the same child,
even if the parent was extended or removed since.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from heliostat.config import registry
from heliostat.errors import RequestError, StoreError
from heliostat.loop.state import NamedArrays, digest
from heliostat.loop.work import block_count
from heliostat.results.run import Run
from heliostat.store.definition import ID
from heliostat.store.index import is_stored, open_record
from heliostat.store.record import Record
from heliostat.task import Task


class Parent(NamedTuple):
    """Run and step whose states another run starts from."""

    run: str
    step: int
    states: tuple[str, ...]  # SHA-256 of the state of each block, in hexadecimal
    path: Path  # folder of the run, which may be absent

    @property
    def identity(self) -> dict[str, Any]:
        """The parent in the identity of a child, as JSON values."""
        return {"run": self.run, "step": self.step, "states": list(self.states)}

    def load(self) -> list[NamedArrays]:
        """Load the states of all blocks.

        Raises:
            StoreError: if a state is missing, damaged or has changed.
        """
        checkpoints = open_record(self.path).checkpoints
        blocks = range(len(self.states))
        states: list[NamedArrays] = [checkpoints.load(b, self.step) for b in blocks]
        for block, (state, expected) in enumerate(
            zip(states, self.states, strict=True)
        ):
            if digest(state).hex() != expected:
                where = f"block {block} at step {self.step}"
                raise StoreError(f"{self.path} has another state of {where} now")
        return states


def parent_of(task: Task, x64: bool, run: Run, step: int = -1) -> Parent:
    """Return the parent of a new run.

    Args:
        task: the task of the new run.
        x64: the precision of the new run.
        run: the parent: its task has the same class, width and number of replicas.
        step: a kept step of the parent, whose states are taken; -1 is the last.

    Raises:
        RequestError: if the new run cannot start from it.
        StoreError: if the states are damaged.
    """
    identity = run.spec.identity
    expected = {"task": registry.name_of(type(task)), "x64": x64, "width": task.width}
    differs = [
        f"its {name} is {identity[name]}, expected {value}"
        for name, value in expected.items()
        if identity[name] != value
    ]
    reason = differs[0] if differs else refusal(task, run.task)
    if reason:
        raise RequestError(f"run {run.id} cannot be the parent: {reason}")
    blocks = range(block_count(task))
    kept = sorted(set.intersection(*(set(run.kept(block)) for block in blocks)))
    at = run.resolve_step(step, kept)
    states = [digest(run.record.checkpoints.load(block, at)).hex() for block in blocks]
    for block, state in enumerate(states):
        if _digest_at(run.record, block, at) not in ("", state):
            where = f"block {block} at step {at}"
            raise StoreError(f"run {run.id}: the state of {where} is not its own")
    return Parent(run.id, at, tuple(states), run.path)


def refusal(task: Task, parent: Task) -> str:
    """Return the reason why a task cannot start from a parent of its class, or ""."""
    for name in ("width", "replicas"):
        given, expected = getattr(parent, name), getattr(task, name)
        if given != expected:
            return f"it has {given} {name}, expected {expected}"
    try:
        task.check_parent(parent)
    except RequestError as error:
        return str(error)
    return ""


def stored_parent(run: Run) -> Parent | None:
    """Return the parent of a stored run; None if it started from ``init``.

    Raises:
        StoreError: if the id of the parent is malformed.
    """
    entry = run.spec.identity.get("parent")
    if not entry:
        return None
    if not ID.fullmatch(str(entry["run"])):  # it becomes a path
        raise StoreError(f"run {run.id}: what it names as its parent is no run")
    path = run.path.with_name(entry["run"])
    return Parent(entry["run"], entry["step"], tuple(entry["states"]), path)


def parent_mismatch(run: Run) -> str:
    """Return the contradiction between a run and its parent in the same store, or "".

    A parent that is not stored, or has not kept the step, contradicts nothing.
    """
    parent = stored_parent(run)
    if not parent or not is_stored(parent.path):
        return ""
    for block, state in enumerate(parent.states):
        stored = _digest_at(open_record(parent.path), block, parent.step)
        if stored not in ("", state):
            where = f"block {block} at step {parent.step}"
            return f"the parent {parent.run} has another state of {where}"
    return ""


def _digest_at(record: Record, block: int, step: int) -> str:
    """Return the digest in the chain of a run; "" if no stride ends with the step."""
    strides = record.strides(block, record.spec.identity["stride"])
    digests = (stride.state.hex() for stride, _ in strides if stride.stop == step)
    return next(digests, "")
