"""What a person sees while a sweep goes on: how many cells came out how, and which."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from heliostat.driver.progress import INTERVAL, Progress, StatusLine, format_duration
from heliostat.loop.work import Chunk
from heliostat.store.record import Record
from heliostat.sweeps.cells import Cell
from heliostat.sweeps.journal import Journal
from heliostat.sweeps.outcomes import CellOutcome
from heliostat.task import Task


class SweepProgress(Protocol):
    """Somebody who follows a sweep; all of it may be ignored."""

    def following(self, ledger: Journal, runs: int) -> Any:
        """A context manager for the length of the sweep."""

    def on_start(self, cells: Sequence[Cell]) -> Progress:
        """Who follows the computing of a cell, or of those of a pack."""
        ...

    def on_end(self, cell: Cell, outcome: CellOutcome) -> None:
        """A cell has ended."""

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        """Something happened to the workers."""


class ActiveCell:
    """How far cells have come that are computed together: a :class:`Progress`.

    Args:
        seen: told after each commit, how much was gained, in cells.
    """

    def __init__(self, cells: int, seen: Callable[[float], None]) -> None:
        self._seen, self._come, self._until = seen, np.zeros((cells, 1), int), 1
        self.share = 0.0  # of their steps

    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Iterator[None]:
        self._come = np.atleast_2d(record.committed).copy()  # (cells, blocks)
        self._until = until
        self.share = self._now()
        yield

    def on_chunk(self, chunk: Chunk) -> None:
        self._come[chunk.cells or 0, chunk.block] = chunk.stop
        before, self.share = self.share, self._now()
        self._seen(len(self._come) * (self.share - before))

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        pass

    def _now(self) -> float:
        return float(self._come.mean()) / self._until


class SweepDisplay:
    """A table that is kept up to date; where it cannot be, a line every ten seconds."""

    EVERY = INTERVAL
    SHOWN = 10  # cells in the table
    RECENT = 50  # commits that the rate is taken from

    def __init__(self, console: Console | None = None) -> None:
        self._status = StatusLine(self._line, self._table, console, self.EVERY)

    @contextmanager
    def following(self, ledger: Journal, runs: int) -> Iterator[None]:
        self._all, self._began = runs, time.monotonic()
        self._states: Counter[str] = Counter()
        self._ended: deque[tuple[Cell, CellOutcome]] = deque(maxlen=self.SHOWN)
        self._underway: dict[str, ActiveCell] = {}  # by run
        self._gained = 0.0  # by commits, in cells
        self._recent: deque[tuple[float, float]] = deque(maxlen=self.RECENT)
        self._status.say(
            f"sweep {ledger.path.name}: {self._all} runs, in {ledger.path}"
        )
        with self._status.live():
            yield
        self._status.say(self._line())

    def on_start(self, cells: Sequence[Cell]) -> ActiveCell:
        found = ActiveCell(len(cells), self._seen)
        self._underway |= {cell.spec.id: found for cell in cells}
        return found

    def on_end(self, cell: Cell, outcome: CellOutcome) -> None:
        reused = outcome.state == "done" and not outcome.computed
        self._states["reused" if reused else outcome.state] += 1
        self._underway.pop(cell.spec.id, None)
        self._ended.append((cell, outcome))
        if outcome.state == "failed":
            self._status.say(f"failed: {cell}: {outcome.reason}")
        self._status.update()

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        self._status.say(f"{event}: {details.get('reason', '')}")

    def _seen(self, gained: float) -> None:
        self._gained += gained
        self._recent.append((time.monotonic(), self._gained))
        self._status.update()

    def _line(self) -> str:
        ended, took = self._states.total(), time.monotonic() - self._began
        parts = [f"{ended}/{self._all} runs"]
        parts += [
            ", ".join(f"{count} {state}" for state, count in self._states.items())
        ]
        shares = [group.share for group in list(self._underway.values())]
        if shares:
            mean = sum(shares) / len(shares)
            parts += [f"{len(shares)} under way at {mean:.0%}"]
        elif not ended:
            parts += ["starting"]
        parts += [f"{took:.0f} s", *self._rate(self._all - ended - sum(shares))]
        return "  ".join(filter(None, parts))

    def _rate(self, left: float) -> list[str]:
        """Cells a second, and when the rest of them will be there."""
        if len(self._recent) < 2 or left <= 0:
            return []
        (then, before), (now, gained) = self._recent[0], self._recent[-1]
        rate = (gained - before) / max(now - then, 1e-9)
        return (
            [f"{rate:.3g} runs/s", f"{format_duration(left / rate)} left"]
            if rate > 0
            else []
        )

    def _table(self) -> RenderableType:
        line = self._status.text()
        if not self._ended:
            return line
        table = Table(box=None)
        for name in [*self._ended[-1][0].values, "state", "steps", "reason"]:
            table.add_column(name, no_wrap=True)
        for cell, outcome in self._ended:
            values = [str(value) for value in cell.values.values()]
            told = [outcome.state, str(outcome.steps), outcome.reason]
            table.add_row(*map(Text, [*values, *told]))
        return Group(table, line)
