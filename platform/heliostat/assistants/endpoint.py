"""An assistant behind an address: any server that speaks like OpenAI's or Anthropic's.

Whatever the server does, a request ends with a reply or with a reason.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field

from heliostat.assistants.asking import Asking
from heliostat.assistants.attempts import Patience, World
from heliostat.assistants.credentials import KEY, key, redacted, variable
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.line import Line
from heliostat.assistants.message import (
    USUAL,
    Conversation,
    Message,
    Reply,
    Settings,
    conversation,
)
from heliostat.assistants.spending import worst_case
from heliostat.assistants.transport import check_address, local
from heliostat.assistants.wire import WIRES, Said
from heliostat.assistants.wording import TEXT, printable, storable
from heliostat.errors import RequestError, did_you_mean

HIDDEN = 100_000
"""Tokens of its own that a server may add to a request, or to a reply."""

_MARGIN = 4096  # characters beyond those that are kept, lest a key be cut in two


@dataclass(frozen=True)
class Endpoint:
    """``Endpoint("https://host/v1", "model-x")``.

    Raises:
        RequestError: for an address that is none or that holds credentials; when asked,
            also if httpx is missing, or if a key would travel in the clear.
    """

    url: str  # http or https, without the last part: https://host/v1
    model: str  # as the server calls it
    key: str = KEY  # NAME of the environment variable that holds the key
    wire: str = "openai"  # or anthropic
    patience: Patience = field(default=Patience())
    limiter: Limiter = field(default_factory=Limiter, repr=False, compare=False)
    world: World = field(default=World(), repr=False, compare=False)
    label: str = ""  # the name, where the address does not matter
    _asking: Asking = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        variable(self.key)
        check_address(self.url)
        if self.wire not in WIRES:
            raise RequestError(
                f"`wire` is {' or '.join(WIRES)}, not '{self.wire}'"
                + did_you_mean(self.wire, WIRES)
            )
        speaking = (self.url, self.model, self.key, self.wire)
        line = Line(*speaking, self.patience, self.world.date)
        asking = Asking(self.name, line, self.patience, self.limiter, self.world)
        object.__setattr__(self, "_asking", asking)

    @property
    def name(self) -> str:
        return self.label or f"{self.url.rstrip('/')} {self.model}"

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = USUAL,
        epoch: int = 0,
    ) -> Reply:
        """The answer to the last message; see :class:`Assistant`."""
        self.check_ready()
        said = conversation(messages)
        if settings.seed is not None:
            settings = settings._replace(seed=settings.seed + epoch)
        return _reply(await self._asking.said(said, settings), said, settings)

    def check_ready(self) -> None:
        """
        Raises:
            RequestError: if httpx is missing, or a key would travel in the clear.
        """
        if importlib.util.find_spec("httpx") is None:
            raise RequestError(
                'an endpoint needs httpx: python -m pip install "heliostat[llm]"'
            )
        if key(self.key) and self.url.startswith("http:") and not local(self.url):
            raise RequestError(
                f"the key in ${self.key} would travel in the clear to {self.url}; use "
                f"https, or unset ${self.key} if the server needs none"
            )


def _counted(given: int | None, worst: int) -> int:
    """What the server counted, if it can be: it may add a prompt, and thoughts."""
    return worst if given is None or given > worst + HIDDEN else given


def _reply(said: Said, messages: tuple[Message, ...], settings: Settings) -> Reply:
    """A reply with no key in it, of bounded length, the worst case if none counted."""
    text = storable(redacted(said.text[: TEXT + _MARGIN]))
    worst = worst_case(messages, settings)
    return Reply(
        text[:TEXT],
        _counted(said.prompt_tokens, worst.prompt),
        _counted(said.completion_tokens, worst.completion),
        finish="cut" if len(said.text) > TEXT else redacted(printable(said.finish, 40)),
    )
