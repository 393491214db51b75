"""Assistant behind an address: any server with OpenAI's or Anthropic's chat API.

Whatever the server does, a request ends with a reply or with a reason.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field

from heliostat.assistants.budget import worst_case
from heliostat.assistants.client import Client
from heliostat.assistants.credentials import (
    DEFAULT_VARIABLE,
    read_key,
    redacted,
    register_variable,
)
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.message import (
    DEFAULT_SETTINGS,
    Conversation,
    Messages,
    Reply,
    Settings,
    check_messages,
)
from heliostat.assistants.providers import PROVIDERS, Completion
from heliostat.assistants.retry import Clock, RetryingClient, RetryPolicy
from heliostat.assistants.text import MAX_CHARACTERS, printable, storable
from heliostat.assistants.transport import check_address, is_local
from heliostat.errors import RequestError, did_you_mean

HIDDEN_TOKENS = 100_000
"""Tokens that a server may add to a request (a prompt) or a reply (reasoning)."""

_MARGIN = 4096  # characters read beyond the limit, so that no key is cut in two


@dataclass(frozen=True)
class Endpoint:
    """Assistant behind an address.

    Raises:
        RequestError: for an address that is no URL or holds credentials, an unknown
            provider, or a key in place of a variable's name.

    Example:
        >>> Endpoint("https://host/v1", "model-x").name
        'https://host/v1 model-x'
    """

    url: str  # http or https, without the provider's path: https://host/v1
    model: str  # the server's name of the model
    key: str = DEFAULT_VARIABLE  # NAME of the environment variable with the key
    provider: str = "openai"  # or anthropic
    policy: RetryPolicy = field(default=RetryPolicy())
    limiter: Limiter = field(default_factory=Limiter, repr=False, compare=False)
    clock: Clock = field(default=Clock(), repr=False, compare=False)
    label: str = ""  # the name, if the address does not matter
    _client: RetryingClient = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        register_variable(self.key)
        check_address(self.url)
        if self.provider not in PROVIDERS:
            raise RequestError(
                f"provider '{self.provider}': expected {' or '.join(PROVIDERS)}"
                + did_you_mean(self.provider, PROVIDERS)
            )
        object.__setattr__(self, "_client", self._build_client())

    def _build_client(self) -> RetryingClient:
        client = Client(
            self.url,
            self.model,
            self.key,
            self.provider,
            self.policy.timeout,
            self.policy.longest_retry_after,
            self.clock.wall_time,
        )
        return RetryingClient(self.name, client, self.policy, self.limiter, self.clock)

    @property
    def name(self) -> str:
        return self.label or f"{self.url.rstrip('/')} {self.model}"

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = DEFAULT_SETTINGS,
        epoch: int = 0,
    ) -> Reply:
        """Return the server's reply; see :class:`Assistant`.

        Raises:
            Unanswered: if this request has no reply.
            Unreachable: if the server answers no request.
            RequestError: if no request can succeed.
        """
        self.check_ready()
        checked = check_messages(messages)
        if settings.seed is not None:
            settings = settings._replace(seed=settings.seed + epoch)
        completion = await self._client.complete(checked, settings)
        return _as_reply(completion, checked, settings)

    def check_ready(self) -> None:
        """Check that requests can be sent.

        Raises:
            RequestError: if httpx is missing, or the key would be sent unencrypted.
        """
        if importlib.util.find_spec("httpx") is None:
            raise RequestError(
                'an endpoint needs httpx: python -m pip install "heliostat[llm]"'
            )
        key = read_key(self.key)
        if key and self.url.startswith("http:") and not is_local(self.url):
            raise RequestError(
                f"the key in ${self.key} would travel in the clear to {self.url}; use "
                f"https, or unset ${self.key} if the server needs none"
            )


def _as_reply(completion: Completion, messages: Messages, settings: Settings) -> Reply:
    """Return a reply of bounded length and without any key.

    Tokens that the server did not count are charged at their worst case.
    """
    text = storable(redacted(completion.text[: MAX_CHARACTERS + _MARGIN]))
    cut = len(completion.text) > MAX_CHARACTERS
    worst = worst_case(messages, settings)
    return Reply(
        text[:MAX_CHARACTERS],
        _plausible(completion.prompt_tokens, worst.prompt),
        _plausible(completion.completion_tokens, worst.completion),
        finish="cut" if cut else redacted(printable(completion.finish, 40)),
    )


def _plausible(count: int | None, worst: int) -> int:
    """Return the server's count of tokens, or the worst case if it cannot be true."""
    return worst if count is None or count > worst + HIDDEN_TOKENS else count
