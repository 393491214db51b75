"""Laws of the loop: a trajectory depends on its task, seed, replica and step only."""

from __future__ import annotations

from typing import Any

import numpy as np

from heliostat import config
from heliostat.driver.placement import Placement, chunks
from heliostat.laws.harness import BlockResult, Harness, first_difference
from heliostat.loop.run import run
from heliostat.loop.work import Span

SHARDED = {False: 2e-3, True: 1e-8}
"""Relative difference of a sharded replica's first rows allowed between layouts."""


def rows_match_emits(bench: Harness) -> str | None:
    """Names, types and numbers of dims of a row are those of ``emits``; and of what is
    observed once a stride, those of ``observes``."""
    strides = bench.length // bench.task.stride
    for block in bench.expected.values():  # the loop itself checks names and types
        for name, values in block.rows.items():
            if values.shape[1] != bench.length:
                return f"{name} has {values.shape[1]} of {bench.length} steps"
        if set(block.observed) != set(bench.task.observes):
            return f"observed is {sorted(block.observed)}, observes says otherwise"
        for name, values in block.observed.items():
            if values.shape[1] != strides:
                return f"{name} was observed {values.shape[1]} times in {strides}"
    return None


def chunks_do_not_matter(bench: Harness) -> str | None:
    """One stride a chunk gives the bits of one chunk in all."""
    return first_difference(
        bench.expected, bench.by_block(run(bench.job(), seconds=1e-9))
    )


def resumed_is_whole(bench: Harness) -> str | None:
    """Stopped after a stride, stored and continued, it gives the same bits."""
    half = bench.task.stride
    spans = [Span(b, 0, half) for b in bench.blocks]
    first = bench.by_block(run(bench.job(*spans)))
    spans = [Span(b, half, bench.length, first[b].last.state) for b in bench.blocks]
    rest = bench.by_block(run(bench.job(*spans)))
    for block, whole in bench.expected.items():
        strides = first[block].strides + rest[block].strides
        if strides != whole.strides:
            return f"block {block}: a resumed run differs from an undisturbed one"
    return None


def a_middle_stride_replays(bench: Harness) -> str | None:
    """The second stride alone, from the state before it, gives its digests."""
    start, stop = bench.task.stride, 2 * bench.task.stride
    first = bench.by_block(run(bench.job(Span(0, 0, start))))
    replay = Span(0, start, stop, first[0].last.state)
    again = bench.by_block(run(bench.job(replay)))
    if again[0].strides != bench.expected[0].strides[1:2]:
        return f"steps {start + 1} to {stop} do not replay to the same digests"
    return None


def step_is_traced_once(bench: Harness) -> str | None:
    """``step`` is traced once whatever the number and length of chunks."""
    counts = {"init": 0, "step": 0}

    class Counted(type(bench.task)):
        def init(self, key: Any, replica: Any, data: Any) -> Any:
            counts["init"] += 1
            return super().init(key, replica, data)

        def step(self, key: Any, state: Any, data: Any) -> Any:
            counts["step"] += 1
            return super().step(key, state, data)

    task = Counted(
        **{k: getattr(bench.task, k) for k in config.fields_of(type(bench.task))}
    )
    bench.by_block(run(bench.job()._replace(task=task), seconds=1e-9))
    if counts["step"] != 1 or counts["init"] > 2:
        return (
            f"init was traced {counts['init']} times (2 allowed), step {counts['step']}"
        )
    return None


def workers_do_not_matter(bench: Harness) -> str | None:
    """Any number of workers gives the same bits; a sharded replica, up to rounding."""
    for count in bench.workers:
        place = Placement("local", count, 0, 0.05)
        actual = bench.by_block(chunks(bench.job(), place, lambda *_, **__: None))
        one_device = actual[0].last.layout.startswith("1 ")
        if not bench.task.sharded or one_device:
            different = first_difference(bench.expected, actual)
        else:
            different = _far(bench, actual)
        if different:
            return f"{count} workers: {different}"
    return None


def _far(bench: Harness, actual: dict[int, BlockResult]) -> str | None:
    for name, rows in bench.expected[0].rows.items():
        if rows.dtype.kind != "f":
            continue
        new, old = actual[0].rows[name][:, :3], rows[:, :3]
        scale = max(float(np.abs(old).max(initial=0)), 1e-12)
        gap = float(np.abs(new - old).max(initial=0)) / scale
        if not gap <= SHARDED[False]:
            return f"{name} is off by {gap:.1e} (relative) within three steps"
    return None
