"""The laws that every task inherits; :func:`check_task` tries them on one of yours."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import yaml

from heliostat import config, device
from heliostat.checkpoint import Stride, digest, rows_digest
from heliostat.errors import RequestError
from heliostat.grid import Chunk, Job, Lane, Span, blocks_of
from heliostat.place import Place, chunks
from heliostat.record import Record
from heliostat.task import Task
from heliostat.unfold import unfold as unfold_here

Law = Callable[["Bench"], str | None]

SHARDED = {False: 2e-3, True: 1e-8}
"""Relative difference of a sharded replica's first rows allowed between layouts."""


class Unfolded(NamedTuple):
    """What some chunks of one block add up to."""

    rows: dict[str, np.ndarray]
    observed: dict[str, np.ndarray]
    strides: tuple[Stride, ...]
    last: Chunk


class Bench:
    """A task on the test bench: computed once as a whole, then in other ways.

    Args:
        task: the task.
        workers: fleets of these sizes are compared.
        seed: of everything computed here.
    """

    def __init__(self, task: Task, workers: Sequence[int], seed: int = 1) -> None:
        self.task, self.workers, self.seed = task, workers, seed
        self.length = 2 * task.stride + max(1, task.stride // 2)
        self.blocks = sorted({0, blocks_of(task) - 1})

    @cached_property
    def whole(self) -> dict[int, Unfolded]:
        """Every block in this process, in as large chunks as there are."""
        return self.collect(unfold_here(self.job(), seconds=1e9))

    def job(self, *spans: Span) -> Job:
        spans = spans or tuple(Span(b, 0, self.length) for b in self.blocks)
        return Job(self.task, self.seed, False, spans)

    def collect(self, found: Any) -> dict[int, Unfolded]:
        by_block: dict[int, list[Chunk]] = {}
        for chunk in found:
            by_block.setdefault(chunk.block, []).append(chunk)
        return {
            block: Unfolded(
                _joined([c.rows for c in cs]),
                _joined([c.observed for c in cs]),
                tuple(s for c in cs for s in c.strides),
                cs[-1],
            )
            for block, cs in by_block.items()
        }


def _joined(tables: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What chunks tell, one after another; a tail may have nothing to tell."""
    told = [table for table in tables if table]
    names = told[0] if told else ()
    return {name: np.concatenate([t[name] for t in told], axis=1) for name in names}


def check_task(task: Task, workers: Sequence[int] = (1, 2)) -> dict[str, str | None]:
    """Try every law on a task.

    Args:
        task: what to check; choose small sizes, it is computed about ten times.
        workers: sizes of the embedded fleets to compare; ``()`` only for a machine
            without Ray.

    Returns:
        Name of the law -> None where it holds, else what was found in one line.

    Example:
        >>> broken = {k: v for k, v in check_task(task).items() if v}  # doctest: +SKIP
    """
    device.remember_programs()
    device.narrow()
    bench = Bench(task, workers)
    laws = LAWS | (TRACED if task.traced else {}) | (FLEET if workers else {})
    laws |= PACKABLE if task.packable else {}
    return {name: _try(law, bench) for name, law in laws.items()}


def _try(law: Law, bench: Bench) -> str | None:
    try:
        return law(bench)
    except Exception as error:  # whatever a task raises is what the law reports
        text = " ".join(str(error).split())
        return f"{type(error).__name__}: {text[:300]}"


def rows_match_emits(bench: Bench) -> str | None:
    """Names, types and numbers of dims of a row are those of ``emits``; and of what is
    observed once a stride, those of ``observes``."""
    strides = bench.length // bench.task.stride
    for block in bench.whole.values():  # the loop itself checks names and types
        for name, values in block.rows.items():
            if values.shape[1] != bench.length:
                return f"{name} has {values.shape[1]} of {bench.length} steps"
        if set(block.observed) != set(bench.task.observes):
            return f"observed is {sorted(block.observed)}, observes says otherwise"
        for name, values in block.observed.items():
            if values.shape[1] != strides:
                return f"{name} was observed {values.shape[1]} times in {strides}"
    return None


def chunks_do_not_matter(bench: Bench) -> str | None:
    """One stride a chunk gives the bits of one chunk in all."""
    return _differ(bench.whole, bench.collect(unfold_here(bench.job(), seconds=1e-9)))


def resumed_is_whole(bench: Bench) -> str | None:
    """Stopped after a stride, stored and continued, it gives the same bits."""
    half = bench.task.stride
    spans = [Span(b, 0, half) for b in bench.blocks]
    first = bench.collect(unfold_here(bench.job(*spans)))
    spans = [Span(b, half, bench.length, first[b].last.state) for b in bench.blocks]
    rest = bench.collect(unfold_here(bench.job(*spans)))
    for block, whole in bench.whole.items():
        strides = first[block].strides + rest[block].strides
        if strides != whole.strides:
            return f"block {block}: a resumed run differs from an undisturbed one"
    return None


def a_middle_stride_replays(bench: Bench) -> str | None:
    """The second stride alone, from the state before it, gives its digests."""
    start, stop = bench.task.stride, 2 * bench.task.stride
    first = bench.collect(unfold_here(bench.job(Span(0, 0, start))))
    replay = Span(0, start, stop, first[0].last.state)
    again = bench.collect(unfold_here(bench.job(replay)))
    if again[0].strides != bench.whole[0].strides[1:2]:
        return f"steps {start + 1} to {stop} do not replay to the same digests"
    return None


def config_round_trips(bench: Bench) -> str | None:
    """Command line, YAML and JSON spell the same task, with the same id."""
    from heliostat import cli

    task, fields = bench.task, config.passed_fields(bench.task)
    spec = config.specify(task)
    ways = {
        "JSON": json.loads(json.dumps(fields)),
        "YAML": yaml.safe_load(yaml.safe_dump(fields)),
        "the command line": cli.parse_fields(type(task), cli.to_argv(task)),
    }
    for way, values in ways.items():
        if config.specify(config.build(type(task), values)) != spec:
            return f"through {way} the task becomes another one: {values}"
    if config.rebuild(spec, type(task)) != task:
        return "the stored spec rebuilds another task"
    return None


def store_round_trips(bench: Bench) -> str | None:
    """Rows and state come back from disk as they were committed."""
    task, spec = bench.task, config.specify(bench.task, bench.seed)
    about = {"schema": config.SCHEMA, "step_dim": task.step_dim}
    with tempfile.TemporaryDirectory() as folder:
        record = Record.create(Path(folder) / "task" / spec.id, spec, task, about)
        record.allocate(bench.length, task.stride)
        for chunk in unfold_here(bench.job(), seconds=1e-9):
            record.commit(chunk, task, bench.length)
        for block, whole in bench.whole.items():
            found = (
                record.block_rows(task, block, 0, bench.length),
                record.block_observed(task, block, 0, bench.length),
            )
            if rows_digest(*found) != rows_digest(whole.rows, whole.observed):
                return f"block {block}: stored rows differ from computed ones"
            state = record.checkpoints.load(block, bench.length)
            if digest(state) != whole.strides[-1].state:
                return f"block {block}: the stored state differs from the computed one"
    return None


def step_is_traced_once(bench: Bench) -> str | None:
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
    bench.collect(unfold_here(bench.job()._replace(task=task), seconds=1e-9))
    if counts["step"] != 1 or counts["init"] > 2:
        return (
            f"init was traced {counts['init']} times (2 allowed), step {counts['step']}"
        )
    return None


def packed_is_alone(bench: Bench) -> str | None:
    """A cell with other numbers, stepped by the program of this one, beside it."""
    other, block = _retuned(bench.task), bench.blocks[-1]
    lanes = (
        Lane(bench.seed + 1, config.knobs(bench.task), 0),
        Lane(bench.seed, config.knobs(other), 1),
    )
    span = Span(block, 0, bench.length)
    alone = bench.job(span)._replace(task=other)
    packed = bench.job(span._replace(lanes=lanes))
    slabs: Any = unfold_here(packed, seconds=1e-9)
    whole = bench.collect(unfold_here(alone, seconds=1e-9))
    return _differ(whole, bench.collect(slab.chunk(1) for slab in slabs))


def data_has_no_knobs(bench: Bench) -> str | None:
    """What is prepared depends on no packable field."""
    here, there = (
        jax.tree.leaves(task.prepare()) for task in (bench.task, _retuned(bench.task))
    )
    if len(here) != len(there) or not all(map(np.array_equal, here, there)):
        return f"prepare depends on one of {', '.join(bench.task.packable)}"
    return None


def _retuned(task: Task) -> Task:
    """The task with another value of every packable field that takes one."""
    for name, value in config.knobs(task).items():
        other = value + 1 if isinstance(value, int) else 0.75 * value
        with suppress(RequestError):
            task = config.changed(task, {name: other})
    return task


def workers_do_not_matter(bench: Bench) -> str | None:
    """Any number of workers gives the same bits; a sharded replica, up to rounding."""
    for count in bench.workers:
        place = Place("local", count, 0, 0.05)
        found = bench.collect(chunks(bench.job(), place, lambda *_, **__: None))
        one_device = found[0].last.layout.startswith("1 ")
        if not bench.task.sharded or one_device:
            different = _differ(bench.whole, found)
        else:
            different = _far(bench, found)
        if different:
            return f"{count} workers: {different}"
    return None


def _differ(expected: dict[int, Unfolded], found: dict[int, Unfolded]) -> str | None:
    for block, whole in expected.items():
        for here, there in zip(found[block].strides, whole.strides, strict=True):
            if here != there:
                what = "state" if here.state != there.state else "rows"
                return f"block {block}: {what} differ in the stride to {here.stop}"
    return None


def _far(bench: Bench, found: dict[int, Unfolded]) -> str | None:
    for name, rows in bench.whole[0].rows.items():
        if rows.dtype.kind != "f":
            continue
        here, there = found[0].rows[name][:, :3], rows[:, :3]
        scale = max(float(np.abs(there).max(initial=0)), 1e-12)
        gap = float(np.abs(here - there).max(initial=0)) / scale
        if not gap <= SHARDED[False]:
            return f"{name} is off by {gap:.1e} (relative) within three steps"
    return None


LAWS: dict[str, Law] = {
    "rows match emits": rows_match_emits,
    "chunk size does not matter": chunks_do_not_matter,
    "resumed is whole": resumed_is_whole,
    "a middle stride replays": a_middle_stride_replays,
    "configurations round trip": config_round_trips,
    "the store round trips": store_round_trips,
}
TRACED: dict[str, Law] = {"step is traced once": step_is_traced_once}
PACKABLE: dict[str, Law] = {
    "packed is alone": packed_is_alone,
    "data has no knobs": data_has_no_knobs,
}
FLEET: dict[str, Law] = {"workers do not matter": workers_do_not_matter}
