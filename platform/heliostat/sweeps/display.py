"""What a person sees while a sweep goes on: how many cells came out how, and which."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from heliostat.sweeps.cells import Cell
from heliostat.sweeps.computing import Outcome
from heliostat.sweeps.ledger import Ledger


class Watching(Protocol):
    """Somebody who follows a sweep; all of it may be ignored."""

    def following(self, ledger: Ledger, runs: int) -> Any:
        """A context manager for the length of the sweep."""

    def saw(self, cell: Cell, outcome: Outcome) -> None:
        """A cell has ended."""

    def told(self, event: str, details: dict[str, Any]) -> None:
        """Something happened to the workers."""


class Display:
    """A table that is kept up to date; where it cannot be, a line every ten seconds."""

    EVERY = 10.0
    RECENT = 10  # cells shown

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._shown = 0.0

    @contextmanager
    def following(self, ledger: Ledger, runs: int) -> Iterator[None]:
        self._all, self._began = runs, time.monotonic()
        self._states: Counter[str] = Counter()
        self._ended: deque[tuple[Cell, Outcome]] = deque(maxlen=self.RECENT)
        self._say(f"sweep {ledger.path.name}: {self._all} runs, in {ledger.path}")
        live = Live(
            get_renderable=self._table,
            console=self.console,
            refresh_per_second=4,
            transient=True,
        )
        with live if self.console.is_terminal else nullcontext():
            yield
        self._say(self._line())

    def saw(self, cell: Cell, outcome: Outcome) -> None:
        reused = outcome.state == "done" and not outcome.computed
        self._states["reused" if reused else outcome.state] += 1
        self._ended.append((cell, outcome))
        if outcome.state == "failed":
            self._say(f"failed: {cell}: {outcome.reason}")
        now = time.monotonic()
        if not self.console.is_terminal and now - self._shown > self.EVERY:
            self._shown = now
            self._say(self._line())

    def told(self, event: str, details: dict[str, Any]) -> None:
        self._say(f"{event}: {details.get('reason', '')}")

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _line(self) -> str:
        ended, took = self._states.total(), time.monotonic() - self._began
        told = ", ".join(f"{count} {state}" for state, count in self._states.items())
        fresh = ended - self._states["reused"]
        left = (self._all - ended) * took / fresh if fresh else 0.0
        rest = f"  {left:.0f} s left" if 0 < ended < self._all and left else ""
        return f"{ended}/{self._all} runs  {told or 'starting'}  {took:.0f} s{rest}"

    def _table(self) -> RenderableType:
        table = Table(box=None)
        names = list(self._ended[-1][0].values) if self._ended else []
        for name in [*names, "state", "steps", "reason"]:
            table.add_column(name, no_wrap=True)
        for cell, outcome in self._ended:
            values = [str(value) for value in cell.values.values()]
            told = [outcome.state, str(outcome.steps), outcome.reason]
            table.add_row(*map(Text, [*values, *told]))
        return Group(table, Text(self._line()))
