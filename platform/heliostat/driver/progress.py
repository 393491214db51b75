"""Progress of a run on standard error: step, rate, time left, latest estimate.

``StatusLine`` is shared with the displays of sweeps and of tasks. Only this module and
those displays print while something is computed, and only to standard error.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from heliostat.loop.work import Chunk, block_count
from heliostat.results.headline import headline_of
from heliostat.store.record import Record
from heliostat.task import Task

INTERVAL = 10.0
"""Seconds between two printed lines, where a line cannot be redrawn."""

RECENT = 20
"""Chunks that the rate is an average over."""


class Progress(Protocol):
    """Observer of a run. Every method may do nothing."""

    def follow(self, record: Record, task: Task, until: int) -> Any:
        """Return a context manager that spans the computation of the run."""

    def on_chunk(self, chunk: Chunk) -> None:
        """Note that a chunk has been committed."""

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        """Note an event of the workers."""


class _Silent:
    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Generator[None]:
        yield

    def on_chunk(self, chunk: Chunk) -> None:
        pass

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        pass


silent: Progress = _Silent()


def display_of(progress: Progress | bool | None) -> Progress:
    """Return an observer as it is; a status line for True or None, nothing for False.

    Example:
        >>> display_of(False) is silent
        True
    """
    if progress is None or isinstance(progress, bool):
        return silent if progress is False else RunDisplay()
    return progress


class StatusLine:
    """Line that is redrawn on a terminal, and elsewhere printed every ten seconds.

    Args:
        line: returns the current text.
        draw: returns something richer for a terminal; default the line itself.
        console: default standard error.
        interval: seconds between two printed lines.
        delay: seconds before the first printed line.
    """

    def __init__(
        self,
        line: Callable[[], str],
        draw: Callable[[], RenderableType] | None = None,
        console: Console | None = None,
        interval: float = INTERVAL,
        delay: float = 0.0,
    ) -> None:
        self._line, self._draw = line, draw or self.text
        self.console = console or Console(stderr=True, highlight=False)
        self._interval = interval
        self._printed = time.monotonic() + delay - interval

    def text(self) -> Text:
        """Return the current line, cut at the width of the terminal."""
        return Text(self._line(), no_wrap=True, overflow="ellipsis")

    def live(self) -> Any:
        """Return a context manager that redraws the line on a terminal."""
        if not self.console.is_terminal:
            return nullcontext()
        return Live(
            get_renderable=self._draw,
            console=self.console,
            refresh_per_second=4,
            transient=True,
        )

    @property
    def due(self) -> bool:
        """True if the line must be printed now, because nothing redraws it."""
        waited = time.monotonic() - self._printed
        return not self.console.is_terminal and waited >= self._interval

    def update(self) -> None:
        """Print the line if it is due."""
        if self.due:
            self._printed = time.monotonic()
            self.say(self._line())

    def say(self, message: str) -> None:
        """Print a message above the line."""
        self.console.print(Text(message), soft_wrap=True)


class RunDisplay:
    """Status line of one run."""

    def __init__(self) -> None:
        self._status = StatusLine(self._line)
        self._estimate = ""
        self._estimator: threading.Thread | None = None

    @contextmanager
    def follow(self, record: Record, task: Task, until: int) -> Generator[None]:
        self.record, self.task, self.until = record, task, until
        self._start = time.monotonic()
        self._step = record.steps
        self._block_steps = dict(enumerate(record.committed.tolist()))
        self._estimated = (0.0, 0.0)  # start and duration of the last estimate, s
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT)
        self._status.say(
            f"{type(task).__name__}: {self._step} of {until} steps, in {record.path}"
        )
        with self._status.live():
            yield
        if self._estimator:
            self._estimator.join(timeout=120)

    def on_chunk(self, chunk: Chunk) -> None:
        self._block_steps[chunk.block] = chunk.stop
        self._step = sum(self._block_steps.values()) // block_count(self.task)
        self._recent.append((time.monotonic(), self._step))
        self._start_estimate()
        if self._estimator and self._status.due:
            self._estimator.join(timeout=1)
        self._status.update()

    def on_event(self, event: str, details: dict[str, Any]) -> None:
        if event == "placed":
            pids = ", ".join(map(str, details["pids"]))
            self._status.say(f"workers ready: {details['layout']} (process {pids})")
        else:
            self._status.say(f"{event}: {details.get('reason', '')}")

    def _line(self) -> str:
        share = f"step {self._step}/{self.until}"
        if not self._recent:
            waited = time.monotonic() - self._start
            activity = "compiling" if self.task.traced else "waiting for the first"
            return f"{share}  starting and {activity}, {waited:.0f} s"
        (first, before), (last, step) = self._recent[0], self._recent[-1]
        quiet = time.monotonic() - last
        if quiet > INTERVAL and quiet > 3 * (last - first):
            return f"{share}  waiting for the next, {quiet:.0f} s  {self._estimate}"
        if step <= before or last <= first:
            return f"{share}  {self._estimate}"
        rate = (step - before) / (last - first)
        left = format_duration((self.until - self._step) / rate)
        return f"{share}  {rate:.3g} steps/s  {left} left  {self._estimate}"

    def _start_estimate(self) -> None:
        """Renew the estimate in a thread, at most a tenth of the time."""
        start, duration = self._estimated
        idle = self._estimator is None or not self._estimator.is_alive()
        if idle and time.monotonic() > start + 10 * duration:
            self._estimator = threading.Thread(target=self._renew_estimate, daemon=True)
            self._estimator.start()

    def _renew_estimate(self) -> None:
        start = time.monotonic()
        try:
            rows, observed = self.record.rows().load(), self.record.observed()
            estimates, errors = headline_of(self.task, rows, observed)
        except Exception as error:  # unreadable rows must not end the run
            estimates, errors = {}, (str(error),)
        self._estimated = (start, time.monotonic() - start)
        own = [f"{n} {e}" for n, e in estimates.items() if e.source == "this run"]
        self._estimate = "  ".join([*own[:2], *(f"({error})" for error in errors[:1])])


def format_duration(seconds: float) -> str:
    """Format seconds as minutes and seconds, with hours if there are any.

    Example:
        >>> format_duration(26), format_duration(3725.9)
        ('0:26', '1:02:05')
    """
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
    )
