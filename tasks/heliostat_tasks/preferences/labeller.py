"""The assistant that labels: a cached function of a prompt, with a budget."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import heliostat as hs
from heliostat.assistants import (
    Assistant,
    Budget,
    Cached,
    Endpoint,
    Message,
    ReplyCache,
    Settings,
    serving,
)
from heliostat.driver.progress import StatusLine, format_duration
from heliostat_tasks.preferences.labels import Ask, verdict

GRAMMAR = 'root ::= "A" | "B" | "N"'
"""Restricts a local model to a verdict."""

TOKENS = 8
"""Tokens of a reply; a verdict is one letter."""


class Labeller(NamedTuple):
    """Options of the assistant, as the command line takes them."""

    assistant: Literal["local", "endpoint"] = "local"
    url: str = ""  # address of an endpoint, without its last part: https://host/v1
    model: str = ""  # model of an endpoint; its key is in $HELIOSTAT_API_KEY
    wire: Literal["openai", "anthropic"] = "openai"
    temperature: float | None = 0.0  # None: the endpoint's own

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            heliostat.RequestError: for an endpoint without url or model, and for
                either without an endpoint.
        """
        options = {"url": self.url, "model": self.model}
        if self.assistant == "endpoint":
            for name in (name for name, value in options.items() if not value):
                raise hs.RequestError(f"{name}: expected one for the endpoint")
        elif unused := [name for name, value in options.items() if value]:
            raise hs.RequestError(f"{unused[0]}: it is for --assistant endpoint")

    @contextmanager
    def connect(self, budget: Budget, replies: ReplyCache) -> Generator[Ask]:
        """Yield the assistant, which is closed at the end of the block.

        Raises:
            heliostat.RequestError: for a local model that is not installed, or an
                unusable address or budget.
        """
        if self.assistant == "local":
            with serving() as model:
                settings = Settings(0.0, TOKENS, grammar=GRAMMAR)
                yield _as_function(Cached(model, budget, replies), settings)
        else:
            model = Endpoint(self.url, self.model, provider=self.wire)
            model.check_ready()
            settings = Settings(self.temperature, TOKENS)
            yield _as_function(Cached(model, budget, replies), settings)


def _as_function(assistant: Assistant, settings: Settings) -> Ask:

    async def ask(prompt: str) -> str:
        return (await assistant.reply([Message("user", prompt)], settings)).text

    return ask


class LabellingProgress:
    """Assistant that counts its replies and shows the progress on standard error."""

    def __init__(self, ask: Ask, total: int) -> None:
        self._ask, self.total = ask, total
        self.replies = self.unparsed = 0
        self._start = time.monotonic()
        self._status = StatusLine(self.line, delay=10.0)

    async def __call__(self, prompt: str) -> str:
        """Ask, and count the reply."""
        reply = await self._ask(prompt)
        self.replies += 1
        self.unparsed += verdict(reply) is None
        self._status.update()
        return reply

    def live(self) -> Any:
        """Return a context manager that keeps the line on a terminal up to date."""
        return self._status.live()

    def line(self) -> str:
        """Format the progress: ``replies 12/92  3.1/s  0:26 left  1 unparsed``."""
        rate = self.replies / max(time.monotonic() - self._start, 1e-9)
        parts = [f"replies {self.replies}/{self.total}", f"{rate:.3g}/s"]
        if rate:
            left = (self.total - self.replies) / rate
            parts += [f"{format_duration(round(left))} left"]
        return "  ".join([*parts, f"{self.unparsed} unparsed"])
