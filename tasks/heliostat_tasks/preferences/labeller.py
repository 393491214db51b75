"""Who labels: an assistant as a function of a prompt, asked once and within a cap."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.text import Text

import heliostat as hs
from heliostat.assistants import (
    Assistant,
    Budget,
    Cached,
    Endpoint,
    Message,
    Replies,
    Settings,
    serving,
)
from heliostat_tasks.preferences.labels import Ask, verdict

GRAMMAR = 'root ::= "A" | "B" | "N"'
"""Holds a local model to a verdict."""

TOKENS = 8
"""Of a reply; a verdict is a letter."""


class Labeller(NamedTuple):
    """Which assistant labels, as it is typed."""

    assistant: Literal["local", "endpoint"] = "local"
    url: str = ""  # of an endpoint, without its last part: https://host/v1
    model: str = ""  # of an endpoint; its key is in $HELIOSTAT_API_KEY
    wire: Literal["openai", "anthropic"] = "openai"
    temperature: float | None = 0.0  # none: the server's own

    def checked(self) -> Labeller:
        """Itself.

        Raises:
            heliostat.RequestError: for an endpoint that is not named, or one that is
                though nobody would ask it.
        """
        named = {"url": self.url, "model": self.model}
        if self.assistant == "endpoint":
            for name in (name for name, given in named.items() if not given):
                raise hs.RequestError(f"{name}: expected one for the endpoint")
        elif given := [name for name in named if named[name]]:
            raise hs.RequestError(f"{given[0]}: it is for --assistant endpoint")
        return self

    @contextmanager
    def asked(self, budget: Budget, kept: Replies) -> Iterator[Ask]:
        """The assistant until the end of the block.

        Raises:
            heliostat.RequestError: for a local model that is not installed, or an
                address or budget that makes no sense.
        """
        if self.assistant == "local":
            with serving() as model:
                held = Settings(0.0, TOKENS, grammar=GRAMMAR)
                yield _ask(Cached(model, budget, kept), held)
        else:
            model = Endpoint(self.url, self.model, wire=self.wire)
            model.check_ready()
            free = Settings(self.temperature, TOKENS)
            yield _ask(Cached(model, budget, kept), free)


def _ask(assistant: Assistant, settings: Settings) -> Ask:

    async def ask(prompt: str) -> str:
        return (await assistant.reply([Message("user", prompt)], settings)).text

    return ask


class Following:
    """One line of standard error that says how far a labelling is: kept up to date on
    a terminal, else repeated every ten seconds."""

    EVERY = 10.0

    def __init__(self, ask: Ask, total: int) -> None:
        self._ask, self.total = ask, total
        self.replies = self.unparsed = 0
        self.console = Console(stderr=True, highlight=False)
        self._began = self._shown = time.monotonic()

    async def __call__(self, prompt: str) -> str:
        """Ask, and count the reply."""
        said = await self._ask(prompt)
        self.replies += 1
        self.unparsed += verdict(said) is None
        now = time.monotonic()
        if not self.console.is_terminal and now - self._shown > self.EVERY:
            self._shown = now
            self.console.print(Text(self.line()), soft_wrap=True)
        return said

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the line up to date until the end of the block."""
        live = Live(
            get_renderable=lambda: Text(self.line(), no_wrap=True, overflow="ellipsis"),
            console=self.console,
            refresh_per_second=4,
            transient=True,
        )
        with live if self.console.is_terminal else nullcontext():
            yield

    def line(self) -> str:
        """``replies 12/92  3.1/s  0:26 left  1 unparsed``."""
        rate = self.replies / max(time.monotonic() - self._began, 1e-9)
        left = divmod(round((self.total - self.replies) / rate), 60) if rate else None
        told = [f"replies {self.replies}/{self.total}", f"{rate:.3g}/s"]
        told += [f"{left[0]}:{left[1]:02d} left"] if left else []
        return "  ".join([*told, f"{self.unparsed} unparsed"])
