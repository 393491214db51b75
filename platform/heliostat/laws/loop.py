"""Laws of the loop: a trajectory depends on its task, seed, replica and step only."""

from __future__ import annotations

from typing import Any

from heliostat import config
from heliostat.driver.placement import Placement, chunks
from heliostat.laws.harness import BlockResult, Harness, first_difference
from heliostat.loop.run import run
from heliostat.loop.state import relative_difference
from heliostat.loop.work import Span

SHARDED = {False: 2e-3, True: 1e-8}
"""Relative difference of a sharded replica's first rows allowed between layouts."""


def rows_match_emits(bench: Harness) -> str | None:
    """Check that every step has a row as in ``emits``, and every stride an observation
    as in ``observes``."""
    strides = bench.length // bench.task.stride
    for block in bench.expected.values():  # the loop itself checks names and types
        for name, values in block.rows.items():
            if values.shape[1] != bench.length:
                return f"{name} has {values.shape[1]} of {bench.length} steps"
        if set(block.observed) != set(bench.task.observes):
            names = f"{sorted(block.observed)}, expected {sorted(bench.task.observes)}"
            return f"observe returns {names}"
        for name, values in block.observed.items():
            if values.shape[1] != strides:
                return (
                    f"{name} was observed {values.shape[1]} times in {strides} strides"
                )
    return None


def chunks_do_not_matter(bench: Harness) -> str | None:
    """Check that chunks of one stride give the bits of one large chunk."""
    return first_difference(
        bench.expected, bench.by_block(run(bench.job(), seconds=1e-9))
    )


def resumed_run_is_identical(bench: Harness) -> str | None:
    """Check that a run that stops after a stride and continues gives the same bits."""
    half = bench.task.stride
    spans = [Span(b, 0, half) for b in bench.blocks]
    first = bench.by_block(run(bench.job(*spans)))
    spans = [Span(b, half, bench.length, first[b].last.state) for b in bench.blocks]
    rest = bench.by_block(run(bench.job(*spans)))
    for block, full in bench.expected.items():
        strides = first[block].strides + rest[block].strides
        if strides != full.strides:
            return f"block {block}: a resumed run differs from an uninterrupted one"
    return None


def middle_stride_replays(bench: Harness) -> str | None:
    """Check that the second stride, replayed from its first state, has its digests."""
    start, stop = bench.task.stride, 2 * bench.task.stride
    first = bench.by_block(run(bench.job(Span(0, 0, start))))
    replay = Span(0, start, stop, first[0].last.state)
    again = bench.by_block(run(bench.job(replay)))
    if again[0].strides != bench.expected[0].strides[1:2]:
        return f"steps {start + 1} to {stop} do not replay to the same digests"
    return None


def step_is_traced_once(bench: Harness) -> str | None:
    """Check that ``step`` is traced once for chunks of any number and length."""
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
    """Check that any number of workers gives the same bits (a sharded replica: up to
    rounding)."""
    for count in bench.workers:
        placement = Placement("local", count, 0, 0.05)
        actual = bench.by_block(chunks(bench.job(), placement, lambda *_, **__: None))
        one_device = actual[0].last.layout.startswith("1 ")
        if not bench.task.sharded or one_device:
            difference = first_difference(bench.expected, actual)
        else:
            difference = _sharded_difference(bench, actual)
        if difference:
            return f"{count} workers: {difference}"
    return None


def _sharded_difference(bench: Harness, actual: dict[int, BlockResult]) -> str | None:
    for name, rows in bench.expected[0].rows.items():
        if rows.dtype.kind != "f":
            continue
        gap = relative_difference(actual[0].rows[name][:, :3], rows[:, :3])
        if gap > SHARDED[False]:
            return f"{name} is off by {gap:.1e} (relative) within three steps"
    return None
