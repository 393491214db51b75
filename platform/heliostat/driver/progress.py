"""What a person sees while a run goes on: step, rate, time left, estimate so far.

The only module that prints while computing, and only to standard error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from heliostat.loop.work import Chunk, block_count
from heliostat.store.record import Record
from heliostat.task import Task


class Progress(Protocol):
    """Somebody who follows a run; all of it may be ignored."""

    def follow(self, record: Record, task: Task, until: int) -> Any:
        """A context manager for the length of the run."""

    def on_chunk(self, chunk: Chunk) -> None:
        """A chunk has been committed."""

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        """Something happened to the workers."""


class _Silent:
    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Iterator[None]:
        yield

    def on_chunk(self, chunk: Chunk) -> None:
        pass

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        pass


silent: Progress = _Silent()


def default_progress() -> Progress:
    """A live line on a terminal or in a notebook, else a plain line now and then."""
    return RunDisplay(Console(stderr=True, highlight=False))


class RunDisplay:
    """One line that is kept up to date; where it cannot be, one every ten seconds."""

    EVERY = 10.0
    RECENT = 20  # chunks that the rate is taken from

    def __init__(self, console: Console) -> None:
        self.console = console
        self._estimate = ""
        self._asking: threading.Thread | None = None
        self._shown = -self.EVERY

    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Iterator[None]:
        self.record, self.task, self.until = record, task, until
        self._began = time.monotonic()
        self._at = record.steps
        self._block_steps = dict(enumerate(record.committed.tolist()))
        self._asked = (0.0, 0.0)  # when the estimate was renewed, and for how long
        self._recent: deque[tuple[float, int]] = deque(maxlen=self.RECENT)
        self._say(
            f"{type(task).__name__}: {self._at} of {until} steps, in {record.path}"
        )
        with (
            Live(
                get_renderable=lambda: Text(
                    self._line(), no_wrap=True, overflow="ellipsis"
                ),
                console=self.console,
                refresh_per_second=4,
                transient=True,
            )
            if self.console.is_terminal
            else _nothing()
        ):
            yield
        if self._asking:
            self._asking.join(timeout=120)

    def on_chunk(self, chunk: Chunk) -> None:
        self._block_steps[chunk.block] = chunk.stop
        self._at = sum(self._block_steps.values()) // block_count(self.task)
        now = time.monotonic()
        self._recent.append((now, self._at))
        self._ask()
        if not self.console.is_terminal and now - self._shown > self.EVERY:
            if self._asking:
                self._asking.join(timeout=1)
            self._shown = now
            self._say(self._line())

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        if event == "placed":
            pids = ", ".join(map(str, details["pids"]))
            self._say(f"workers ready: {details['layout']} (process {pids})")
        else:
            self._say(f"{event}: {details.get('reason', '')}")

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def _line(self) -> str:
        share = f"step {self._at}/{self.until}"
        if not self._recent:
            waited = time.monotonic() - self._began
            at_what = "compiling" if self.task.traced else "waiting for the first"
            return f"{share}  starting and {at_what}, {waited:.0f} s"
        (then, before), (now, at) = self._recent[0], self._recent[-1]
        quiet = time.monotonic() - now
        if quiet > self.EVERY and quiet > 3 * (now - then):
            return f"{share}  waiting for the next, {quiet:.0f} s  {self._estimate}"
        if at <= before or now <= then:
            return f"{share}  {self._estimate}"
        rate = (at - before) / (now - then)
        left = (self.until - self._at) / rate
        speed = f"{rate:.3g} steps/s  {format_duration(left)} left"
        return f"{share}  {speed}  {self._estimate}"

    def _ask(self) -> None:
        """Renew the estimate beside the run, which never waits, and seldom if slow."""
        began, took = self._asked
        idle = self._asking is None or not self._asking.is_alive()
        if idle and time.monotonic() > began + 10 * took:
            self._asking = threading.Thread(target=self._renew, daemon=True)
            self._asking.start()

    def _renew(self) -> None:
        began = time.monotonic()
        try:
            headline = self.task.headline(self.record.rows().load())
        except Exception as error:  # the display must not end the run
            self._estimate = f"(no estimate: {error})"
            return
        self._asked = (began, time.monotonic() - began)
        own = [(n, e) for n, e in headline.items() if e.source == "this run"]
        self._estimate = "  ".join(f"{name} {value}" for name, value in own[:2])


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def format_duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
