"""Harness of the laws: it computes a task in one piece and in other ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from heliostat.loop.run import run
from heliostat.loop.state import StrideDigests
from heliostat.loop.work import Chunk, Job, Span, block_count
from heliostat.task import Task


class BlockResult(NamedTuple):
    """Joined chunks of one block."""

    rows: dict[str, np.ndarray]
    observed: dict[str, np.ndarray]
    strides: tuple[StrideDigests, ...]
    last: Chunk


class Harness:
    """Task under test, computed in one piece and in other ways.

    Args:
        task: the task.
        workers: fleets of these sizes are compared.
        seed: seed of every run.
    """

    def __init__(self, task: Task, workers: Sequence[int], seed: int = 1) -> None:
        self.task, self.workers, self.seed = task, workers, seed
        self.length = 2 * task.stride + max(1, task.stride // 2)
        self.blocks = sorted({0, block_count(task) - 1})

    @cached_property
    def expected(self) -> dict[int, BlockResult]:
        """Every block, computed in this process in chunks as large as possible."""
        return self.by_block(run(self.job(), seconds=1e9))

    def job(self, *spans: Span) -> Job:
        spans = spans or tuple(Span(b, 0, self.length) for b in self.blocks)
        return Job(self.task, self.seed, False, spans)

    def by_block(self, chunks: Any) -> dict[int, BlockResult]:
        by_block: dict[int, list[Chunk]] = {}
        for chunk in chunks:
            by_block.setdefault(chunk.block, []).append(chunk)
        return {
            block: BlockResult(
                _joined([c.rows for c in cs]),
                _joined([c.observed for c in cs]),
                tuple(s for c in cs for s in c.strides[0]),
                cs[-1],
            )
            for block, cs in by_block.items()
        }


def _joined(tables: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Concatenate the tables of chunks; the table of a tail may be empty."""
    filled = [table for table in tables if table]
    names = filled[0] if filled else ()
    return {
        name: np.concatenate([t[name][0] for t in filled], axis=1) for name in names
    }


def first_difference(
    expected: dict[int, BlockResult], actual: dict[int, BlockResult]
) -> str | None:
    """Describe the first stride whose digests differ, in one line."""
    for block, full in expected.items():
        for new, old in zip(actual[block].strides, full.strides, strict=True):
            if new != old:
                part = "state" if new.state != old.state else "rows"
                return f"block {block}: {part} differ in the stride to {new.stop}"
    return None
