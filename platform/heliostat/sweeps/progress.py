"""Progress of a sweep on a terminal: counts of cells by state, and the latest ones."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
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
    """Display of a sweep; it may ignore everything."""

    def follow(self, journal: Journal, runs: int) -> Any:
        """Return a context manager for the duration of the sweep."""

    def on_start(self, cells: Sequence[Cell]) -> Progress:
        """Return the display of a cell, or of those of a pack, that starts."""
        ...

    def on_end(self, cell: Cell, outcome: CellOutcome) -> None:
        """Receive the outcome of a cell."""

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        """Receive an event of the workers."""


class ActiveCell:
    """Progress of the cells that are computed together: a driver's :class:`Progress`.

    Args:
        cells: their number.
        on_gain: receives the gain of each commit, in cells.
    """

    def __init__(self, cells: int, on_gain: Callable[[float], None]) -> None:
        self._on_gain, self._until = on_gain, 1
        self._committed = np.zeros((cells, 1), int)  # (cells, blocks)
        self.share = 0.0  # of their steps

    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Generator[None]:
        self._committed = np.atleast_2d(record.committed).copy()
        self._until = until
        self.share = self._now()
        yield

    def on_chunk(self, chunk: Chunk) -> None:
        self._committed[chunk.cells or 0, chunk.block] = chunk.stop
        before, self.share = self.share, self._now()
        self._on_gain(len(self._committed) * (self.share - before))

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        pass

    def _now(self) -> float:
        return float(self._committed.mean()) / self._until


def display_of(progress: SweepProgress | bool | None) -> SweepProgress:
    """Return a display as it is; a table for True or None, nothing for False."""
    if progress is None or isinstance(progress, bool):
        return SweepDisplay(Console(quiet=True) if progress is False else None)
    return progress


class SweepDisplay:
    """Table that is kept up to date; without a terminal a line every ten seconds."""

    EVERY = INTERVAL  # seconds
    SHOWN = 10  # cells in the table
    RECENT = 50  # commits that the rate is taken from

    def __init__(self, console: Console | None = None) -> None:
        self._status = StatusLine(self._line, self._table, console, self.EVERY)

    @contextmanager
    def follow(self, journal: Journal, runs: int) -> Generator[None]:
        self._all, self._began = runs, time.monotonic()
        self._states: Counter[str] = Counter()
        self._ended: deque[tuple[Cell, CellOutcome]] = deque(maxlen=self.SHOWN)
        self._active: dict[str, ActiveCell] = {}  # by run
        self._gained = 0.0  # by commits, in cells
        self._recent: deque[tuple[float, float]] = deque(maxlen=self.RECENT)
        self._status.say(f"sweep {journal.path.name}: {runs} runs, in {journal.path}")
        with self._status.live():
            yield
        self._status.say(self._line())

    def on_start(self, cells: Sequence[Cell]) -> ActiveCell:
        active = ActiveCell(len(cells), self._on_gain)
        self._active |= {cell.id: active for cell in cells}
        return active

    def on_end(self, cell: Cell, outcome: CellOutcome) -> None:
        reused = outcome.state == "done" and not outcome.computed
        self._states["reused" if reused else outcome.state] += 1
        self._active.pop(cell.id, None)
        self._ended.append((cell, outcome))
        if outcome.state == "failed":
            self._status.say(f"failed: {cell}: {outcome.reason}")
        self._status.update()

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        self._status.say(f"{event}: {details.get('reason', '')}")

    def _on_gain(self, gain: float) -> None:
        self._gained += gain
        self._recent.append((time.monotonic(), self._gained))
        self._status.update()

    def _line(self) -> str:
        ended, seconds = self._states.total(), time.monotonic() - self._began
        states = ", ".join(f"{count} {state}" for state, count in self._states.items())
        parts = [f"{ended}/{self._all} runs", states]
        shares = [active.share for active in list(self._active.values())]
        if shares:
            mean = sum(shares) / len(shares)
            parts += [f"{len(shares)} under way at {mean:.0%}"]
        elif not ended:
            parts += ["starting"]
        parts += [f"{seconds:.0f} s", *self._rate(self._all - ended - sum(shares))]
        return "  ".join(filter(None, parts))

    def _rate(self, left: float) -> list[str]:
        """Return the rate in cells a second, and the time for those that are left."""
        if len(self._recent) < 2 or left <= 0:
            return []
        (then, before), (now, gained) = self._recent[0], self._recent[-1]
        rate = (gained - before) / max(now - then, 1e-9)
        if rate <= 0:
            return []
        return [f"{rate:.3g} runs/s", f"{format_duration(left / rate)} left"]

    def _table(self) -> RenderableType:
        line = self._status.text()
        if not self._ended:
            return line
        table = Table(box=None)
        for name in [*self._ended[-1][0].values, "state", "steps", "reason"]:
            table.add_column(name, no_wrap=True)
        for cell, outcome in self._ended:
            values = [str(value) for value in cell.values.values()]
            state = [outcome.state, str(outcome.steps), outcome.reason]
            table.add_row(*map(Text, [*values, *state]))
        return Group(table, line)
