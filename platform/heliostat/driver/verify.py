"""Verification: the resume law pointed at a stored run.

First what is stored is held against the digest chain; then chosen strides are replayed
from kept states, and their digests must come out the same.  On another layout of
devices, or in another environment, bits may differ: there the first rows of a stride
are compared within a tolerance instead.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from heliostat.driver.parent import mismatch, of_run
from heliostat.driver.placement import Placement
from heliostat.driver.replay import replay
from heliostat.errors import RequestError, RunFailed, StoreError
from heliostat.loop.state import StrideDigests, digest
from heliostat.loop.work import Chunk, Span, block_count
from heliostat.results.run import Run, as_run
from heliostat.store.digests import first_link, next_link
from heliostat.task import Estimate, Task

TOLERANCE = {False: 2e-3, True: 1e-8}
"""Across layouts and environments: relative difference of rows that is allowed, in
float32 and float64, over the first ``NEAR`` steps of a stride.  Rounding alone stays
far below it; float32 leaves room for one Metropolis decision that fell the other way.
"""

NEAR = 3

Segments = int | Literal["all"]


class Verdict(NamedTuple):
    """What verification found.

    ``ACCEPT``: stored and replayed agree. ``REJECT``: they do not, ``reasons`` name the
    places. ``INCONCLUSIVE``: nothing was found wrong, but something could not be told.
    """

    status: Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]
    reasons: list[str]
    replayed: list[str]

    def __str__(self) -> str:
        lines = [self.status, *(f"  {r}" for r in self.reasons)]
        return "\n".join(lines + [f"  {r}" for r in self.replayed])


def verify(
    run: str | Run,
    *,
    store: str | Path | None = None,
    segments: Segments = 3,
    on: str = "local",
    workers: int | None = None,
    seed: int | None = None,
    code: str | Sequence[str] = (),
) -> Verdict:
    """Check a stored run against its chain, and replay some of its strides.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        segments: strides to replay: the first, and others drawn at random among those
            that follow a kept state; ``"all"`` replays the whole run.
        workers: default what the run was computed with, so that bits can agree.
        seed: of the draw; default fresh.
        code: FILE.py:NAME of each function that is a field of the task.

    Returns:
        A :class:`Verdict`; its reasons name the first places that disagree.
    """
    if segments != "all" and segments < 0:
        raise RequestError(f"segments {segments}: expected 0 or more")
    place = Placement(on, workers).validate()
    try:
        given = as_run(run, store, None, code)
        task = given.task
        run = Run(given.path, task)  # whole: it may be the beginning of a longer one
        if not run.record.steps:
            return Verdict("INCONCLUSIVE", ["the run has no committed steps"], [])
        reasons = _stored(run, task) or _told(run, task) or _begun(run)
    except StoreError as error:
        return Verdict("REJECT", [str(error)], [])
    if reasons or segments == 0:
        return Verdict("REJECT" if reasons else "ACCEPT", reasons, [])
    place = place._replace(workers=workers or _workers(run, on), gpus=_gpus(run))
    return _replay(run, task, segments, place, seed)


def _stored(run: Run, task: Task) -> list[str]:
    """Where rows, kept states or links disagree with the chain; the first of each."""
    reasons, parent = [], of_run(run)
    for name, (labels, right) in run.record.coordinates(task).items():
        if not np.array_equal(labels, right):
            reasons.append(f"the labels of {name} are wrong")
    for block in range(block_count(task)):
        link = first_link(run.spec.genesis, block)
        strides = run.record.strides(block, task.stride)
        for stride, stored in strides:
            link, start = next_link(link, stride), _start(stride.stop, task.stride)
            where = f"block {block}, steps {start + 1} to {stride.stop}"
            if link != stored:
                reasons.append(f"the chain is broken at {where}")
                break
            rows = run.record.rows_digest(task, block, start, stride.stop)
            if rows != stride.rows:
                reasons.append(f"rows differ from their digest at {where}")
                break
        by_step, kept = {s.stop: s.state for s, _ in strides}, run.kept(block)
        if parent:
            by_step[0] = bytes.fromhex(parent.states[block])
        if int(run.record.committed[block]) not in kept:
            reasons.append(f"the last state of block {block} is missing")
        for step in sorted({*kept, *({0} if parent else ())}):
            state = digest(run.record.checkpoints.load(block, step))
            if by_step.get(step) != state:
                reasons.append(f"the state of block {block} at step {step} differs")
    return reasons


def _begun(run: Run) -> list[str]:
    """Whether the parent of a run has another state than the one that it began from."""
    reason = mismatch(run)
    return [reason] if reason else []


def _told(run: Run, task: Task) -> list[str]:
    """Where the stored headline is not what the rows say."""
    if run.record.attrs.get("status") != "complete":
        return []
    stored, found = run.headline, task.headline(run.rows.load())
    return [
        f"the headline says {name} = {stored.get(name)}, the rows say {value}"
        for name, value in found.items()
        if value.source == "this run" and not _near(stored.get(name), value)
    ]


def _near(stored: Estimate | None, found: Estimate) -> bool:
    return stored is not None and np.allclose(
        stored[:2], found[:2], rtol=1e-6, equal_nan=True
    )


def _replay(
    run: Run, task: Task, segments: Segments, place: Placement, seed: int | None
) -> Verdict:
    spans = _choose(run, task, segments, random.Random(seed))
    identity = run.spec.identity
    on, workers, gpus, _ = place
    chunks = replay(
        task,
        spans,
        seed=identity["seed"],
        x64=identity["x64"],
        on=on,
        workers=workers,
        gpus=gpus,
    )
    stored = {
        (block, stride.stop): stride
        for block in range(block_count(task))
        for stride, _ in run.record.strides(block, task.stride)
    }
    layouts = _layouts(run)
    reasons, unsure, replayed = [], [], []
    for chunk in _until_failure(chunks, unsure):
        where = f"block {chunk.block}, steps {chunk.start + 1} to {chunk.stop}"
        here = (chunk.layout, chunk.environment)
        exact = here == layouts.get((chunk.block, chunk.stop))
        if exact:
            reasons += _compare(chunk, stored, task.stride)
            replayed.append(f"replayed {where}: compared bit for bit")
        else:
            far = _distance(run, task, chunk)
            limit = TOLERANCE[identity["x64"]]
            replayed.append(
                f"replayed {where} on {chunk.layout}: rows differ by {far:.1e} "
                f"(relative; {limit:.0e} allowed over {NEAR} steps)"
            )
            if far > limit:
                unsure.append(f"{where}: rows differ by {far:.1e} on another layout")
    status = "REJECT" if reasons else "INCONCLUSIVE" if unsure else "ACCEPT"
    return Verdict(status, reasons + unsure, replayed)


def _until_failure(chunks: Iterator[Chunk], unsure: list[str]) -> Iterator[Chunk]:
    """Yield chunks; note a failure of the workers, which proves nothing of the run."""
    try:
        yield from chunks
    except RunFailed as failure:
        unsure.append(f"the replay could not be finished: {failure}")


def _choose(
    run: Run, task: Task, segments: Segments, draw: random.Random
) -> list[Span]:
    """Spans of one stride from kept states; or from every kept state to the next."""
    spans, parent = [], of_run(run)
    for block in range(block_count(task)):
        come = int(run.record.committed[block])
        kept = [s for s in run.kept(block) if s % task.stride == 0 and s < come]
        starts = sorted({0, *kept})
        for start, following in zip(starts, [*starts[1:], come], strict=True):
            one = min(start + task.stride, come)
            stop = following if segments == "all" else one
            spans.append((block, start, stop))
    if segments != "all":
        others = draw.sample(spans[1:], min(segments - 1, len(spans) - 1))
        spans = sorted([spans[0], *others])
    return [
        Span(b, start, stop, partial(run.record.load_state, b, start))
        if start or parent
        else Span(b, start, stop)
        for b, start, stop in spans
    ]


def _compare(
    chunk: Chunk, stored: dict[tuple[int, int], StrideDigests], stride: int
) -> list[str]:
    """The first stride of a chunk whose digests do not come out as they were."""
    for found in chunk.strides[0]:
        there = stored[chunk.block, found.stop]
        what = [n for n in ("state", "rows") if getattr(found, n) != getattr(there, n)]
        if what:
            first = _start(found.stop, stride) + 1
            return [
                f"replay gives another {' and other '.join(what)} at block "
                f"{chunk.block}, steps {first} to {found.stop}"
            ]
    return []


def _distance(run: Run, task: Task, chunk: Chunk) -> float:
    """Largest relative difference of the first rows, in units of each row's size."""
    stop = min(chunk.start + NEAR, chunk.stop)
    there = run.record.block_rows(task, chunk.block, chunk.start, stop)
    worst = 0.0
    for name, stored in there.items():
        here = chunk.rows[name][0][:, : stop - chunk.start]
        if stored.dtype.kind not in "fiu":
            if not np.array_equal(here, stored):
                return np.inf
            continue
        here, stored = here.astype(float), stored.astype(float)
        scale = max(float(np.nanmax(np.abs(stored), initial=0.0)), 1e-12)
        gap = np.abs(here - stored)
        gap = np.where(np.isnan(here) & np.isnan(stored), 0.0, gap)
        gap = np.where(np.isnan(gap), np.inf, gap)
        worst = max(worst, float(np.max(gap, initial=0.0)) / scale)
    return worst


def _layouts(run: Run) -> dict[tuple[int, int], tuple[str, str]]:
    """Layout and environment of each stride's worker, by (block, last step).

    Bits may be expected to agree where both do.
    """
    stride, layouts = run.task.stride, {}
    for event in run.events():
        if event["event"] == "committed":
            start, stop = event["start"], event["stop"]
            stops = [*range(start + stride, stop, stride), stop]
            place = (event["layout"], event.get("environment", ""))
            layouts |= {(event["block"], s): place for s in stops}
    return layouts


def _workers(run: Run, on: str) -> int | None:
    """The workers of the run's last team, if it was one team sharing a replica."""
    sizes = [e["workers"] for e in run.events() if e["event"] == "placed"]
    if on == "here":
        return None
    if run.task.sharded:
        return sizes[-1] if sizes else 1
    return None


def _gpus(run: Run) -> float | None:
    """None at all for a run of CPUs, so that bits can agree; else all there are."""
    layouts = [e["layout"] for e in run.events() if e["event"] == "committed"]
    return 0 if layouts and all(" cpu" in layout for layout in layouts) else None


def _start(stop: int, stride: int) -> int:
    """The step before the first one of the stride that ends with ``stop``."""
    return (stop - 1) // stride * stride
