"""Executors: they bring cells to their goals, alone or together as a pack."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from heliostat.driver import packs
from heliostat.driver.placement import Placement, chunks
from heliostat.loop.work import Chunk, Job
from heliostat.store.index import cell_ids
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.outcomes import (
    Ended,
    RunContext,
    run_group,
    stored_outcome,
    stored_records,
)
from heliostat.sweeps.search import CellStream
from heliostat.system import device


def run_cells(cells: CellStream, context: RunContext) -> Iterator[Ended]:
    """Yield each cell with its outcome as it ends; a cell that raises does not end the
    others.

    Raises:
        KeyboardInterrupt: when interrupted; the active cells end as interrupted.
        StoreError: if the store cannot be written.
    """
    executor: SerialExecutor | FleetExecutor = SerialExecutor(context)
    if context.placement.on != "here":
        executor = FleetExecutor(context, cells.runs)
    with executor.started():
        while True:
            while executor.free and (new := cells.ask()):
                yield from _submit(new, context, executor, cells)
            ended = list(executor.results())
            if not ended:
                return
            for cell, outcome in ended:
                cells.tell(cell, outcome)
                yield cell, outcome


def _submit(
    new: Sequence[Cell],
    context: RunContext,
    executor: SerialExecutor | FleetExecutor,
    cells: CellStream,
) -> Iterator[Ended]:
    """Yield the stored cells at once, before workers start for the others."""
    missing, records = [], stored_records(new, context.store)
    for cell in new:
        if outcome := stored_outcome(cell, context, records.get(cell.id)):
            cells.tell(cell, outcome)
            yield cell, outcome
        else:
            missing.append(cell)
    executor.submit(group_cells(new, missing, context, records))


def group_cells(
    cells: Sequence[Cell],
    missing: Sequence[Cell],
    context: RunContext,
    records: Mapping[str, Record],
) -> list[list[Cell]]:
    """Return the missing cells in groups that are computed together."""
    if context.packs:
        return pack_groups(cells, missing, records)
    return [[cell] for cell in missing]


def pack_groups(
    cells: Sequence[Cell], missing: Sequence[Cell], records: Mapping[str, Record]
) -> list[list[Cell]]:
    """Return the missing cells in groups that make a pack, and the others alone.

    A stored pack is continued if all of its cells are requested; if only some are,
    these leave it and continue alone.

    Args:
        cells: all that are requested, also those that are stored.
        records: records of those that are stored, by id.
    """
    by_id, new, alone = {cell.id: cell for cell in cells}, [], []
    stored: dict[Path, None] = {}
    for cell in missing:
        record = records.get(cell.id)
        if not cell.task.packable or (record and record.folder == record.path):
            alone.append([cell])
        elif record is None:
            new.append(cell)
        elif set(cell_ids(record.folder)) <= set(by_id):
            stored[record.folder] = None
        else:
            alone.append([cell])
    continued = [[by_id[id_] for id_ in cell_ids(home)] for home in stored]
    return [*continued, *_by_program(new), *alone]


def _by_program(cells: Sequence[Cell]) -> list[list[Cell]]:
    groups: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        groups[packs.pack_key(cell.task, cell.spec)].append(cell)
    return list(groups.values())


class SerialExecutor:
    """Executor of one group after another, in this process."""

    def __init__(self, context: RunContext) -> None:
        self.context, self._waiting = context, list[list[Cell]]()

    @contextmanager
    def started(self) -> Generator[None]:
        yield

    @property
    def free(self) -> bool:
        return not self._waiting

    def submit(self, groups: Sequence[list[Cell]]) -> None:
        self._waiting += groups

    def results(self) -> Iterator[Ended]:
        if self._waiting:
            yield from run_group(self._waiting.pop(0), self.context, chunks)


class FleetExecutor:
    """Executor of as many groups at once as there are workers, each in a thread.

    Workers start for the first cell that is not stored.
    """

    def __init__(self, context: RunContext, runs: int) -> None:
        self.context, self.runs = context, runs
        self._futures: set[Future[list[Ended]]] = set()
        self._stack = ExitStack()
        self._fleet: Any = None

    @contextmanager
    def started(self) -> Generator[None]:
        with self._stack:
            try:
                yield
            except BaseException:
                for future in self._futures:
                    future.cancel()
                if self._fleet:
                    self._fleet.interrupt()
                raise

    @property
    def free(self) -> bool:
        return len(self._futures) < (self._fleet.max_concurrent if self._fleet else 1)

    def submit(self, groups: Sequence[list[Cell]]) -> None:
        if not groups:
            return
        if self._fleet is None:
            later = self.runs - sum(map(len, groups))
            self._start(groups[0][0], len(groups) + later)
        for group in groups:
            self._futures.add(self._submit(group))

    def results(self) -> Iterator[Ended]:
        """Yield the outcomes of the groups that end next."""
        ended, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
        for future in ended:
            yield from future.result()

    def _submit(self, group: list[Cell]) -> Future[list[Ended]]:
        fleet: Any = self._fleet
        options = self.context, partial(_from_fleet, fleet), fleet.workers_per_run
        return self._threads.submit(run_group, group, *options)

    def _start(self, cell: Cell, drives: int) -> None:
        on, workers, gpus, _ = self.context.placement
        device.authenticate_ray(on)
        from heliostat.fleet.run import open_fleet

        on_event = self.context.on_event
        shared = open_fleet(on, workers, gpus, cell.task, drives, on_event)
        self._fleet = self._stack.enter_context(shared)
        threads = ThreadPoolExecutor(self._fleet.max_concurrent)
        self._threads = self._stack.enter_context(threads)


def _from_fleet(
    fleet: Any,
    job: Job,
    placement: Placement,
    on_event: Callable[..., None],
    barrier: Callable[[], int],
) -> Generator[Chunk, None, None]:
    return fleet.run(job, placement.seconds, on_event, barrier)
