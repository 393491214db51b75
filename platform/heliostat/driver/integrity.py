"""Compare what a run stored with its digest chain, its headline and its parent.

Nothing is computed again here: ``verify`` replays strides after these checks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from heliostat.answer import Estimate
from heliostat.driver.parent import parent_mismatch, stored_parent
from heliostat.loop.state import digest
from heliostat.loop.work import block_count
from heliostat.results.headline import headline_of
from heliostat.results.run import Run
from heliostat.store import blocks
from heliostat.store.digests import first_link, next_link

DIMS = ("replica_dim", "step_dim")


def contradictions(run: Run) -> list[str]:
    """Return the contradictions within what a run stored; empty if it is consistent.

    Raises:
        StoreError: if stored data cannot be read.
    """
    chain = [*_declarations(run), *_coordinates(run)]
    for block in range(block_count(run.task)):
        chain += [*_strides(run, block), *_states(run, block)]
    return (
        chain
        or _headline(run)
        or [reason for reason in [parent_mismatch(run)] if reason]
    )


def stride_start(stop: int, stride: int) -> int:
    """Return the step before the first one of the stride that ends with ``stop``."""
    return (stop - 1) // stride * stride


def _declarations(run: Run) -> Iterator[str]:
    """Yield the names of axes and the units that are not those of the task."""
    attrs, task = run.record.attrs, run.task
    pairs = {name: (attrs[name], getattr(task, name)) for name in DIMS}
    pairs["task"] = attrs["task"], run.spec.identity["task"]
    for name, (stored, declared) in (
        pairs | blocks.declarations(run.record, task)
    ).items():
        if stored != declared:
            yield f"{name} is {stored} in the record, the task says {declared}"


def _coordinates(run: Run) -> Iterator[str]:
    for name, (labels, expected) in blocks.coordinates(run.record, run.task).items():
        if not np.array_equal(labels, expected):
            yield f"the labels of {name} are wrong"


def _strides(run: Run, block: int) -> Iterator[str]:
    """Yield the first stride of a block whose link or rows contradict the chain."""
    task, link = run.task, first_link(run.spec.genesis, block)
    for stride, stored_link in run.record.strides(block, task.stride):
        link = next_link(link, stride)
        start = stride_start(stride.stop, task.stride)
        where = f"block {block}, steps {start + 1} to {stride.stop}"
        if link != stored_link:
            yield f"the chain is broken at {where}"
            return
        if (
            blocks.rows_digest(run.record, task, block, start, stride.stop)
            != stride.rows
        ):
            yield f"rows differ from their digest at {where}"
            return


def _states(run: Run, block: int) -> Iterator[str]:
    """Yield the kept states of a block that are missing or contradict the chain."""
    strides = run.record.strides(block, run.task.stride)
    digests = {stride.stop: stride.state for stride, _ in strides}
    steps = set(run.kept(block))
    if int(run.record.committed[block]) not in steps:
        yield f"the last state of block {block} is missing"
    if parent := stored_parent(run):
        digests[0] = bytes.fromhex(parent.states[block])
        steps.add(0)
    for step in sorted(steps):
        if digests.get(step) != digest(run.record.checkpoints.load(block, step)):
            yield f"the state of block {block} at step {step} differs"


def _headline(run: Run) -> list[str]:
    """Return the estimates of a complete run that its rows do not give."""
    if run.record.attrs.get("status") != "complete":
        return []
    stored, rows = run.headline, run.declared_rows.load()
    expected, errors = headline_of(run.task, rows, run.observed)
    if errors and not run.headline_errors:
        return [f"the headline cannot be computed from the rows: {errors[0]}"]
    return [
        f"the headline says {name} = {stored.get(name)}, the rows say {value}"
        for name, value in expected.items()
        if value.source == "this run" and not _close(stored.get(name), value)
    ]


def _close(stored: Estimate | None, expected: Estimate) -> bool:
    return stored is not None and np.allclose(
        stored[:2], expected[:2], rtol=1e-6, equal_nan=True
    )
