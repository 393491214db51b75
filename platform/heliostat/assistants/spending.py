"""What replies cost, and how much may be spent.

    cost = prompt tokens × price + completion tokens × price        per 10⁶ tokens

A request is only sent if the cap holds even should all that are in flight be as long as
they may be: *spent + Σ worst case ≤ cap*.
"""

from __future__ import annotations

from typing import NamedTuple

from heliostat.assistants.message import Conversation, Settings
from heliostat.errors import RequestError

_TURN = 16  # tokens that a template puts around a message, generously


class Tokens(NamedTuple):
    prompt: int
    completion: int


class Prices(NamedTuple):
    """Of a million tokens, in any one currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, tokens: Tokens) -> float:
        """In that currency.

        Example:
            >>> Prices(prompt=3.0, completion=15.0).cost(Tokens(1000, 200))
            0.006
        """
        parts = zip(self, tokens, strict=True)
        return sum(price * count for price, count in parts) / 1e6


class Budget(NamedTuple):
    """Whose money it is, what tokens cost, and what may be spent."""

    ledger: str  # the account that is charged: a run's id
    prices: Prices = Prices()
    cap: float | None = None  # in the currency of the prices; None: no limit

    def checked(self) -> Budget:
        """Itself.

        Raises:
            RequestError: if a price or the cap is negative or no number, or a cap
                could never be reached because tokens cost nothing.
        """
        amounts = (*self.prices, 0.0 if self.cap is None else self.cap)
        if not all(0 <= amount < float("inf") for amount in amounts):
            raise RequestError("prices and the cap are numbers that are not negative")
        if self.cap is not None and not any(self.prices):
            raise RequestError("a cap needs the prices of tokens")
        return self


class Spent(NamedTuple):
    """What an account was charged so far; replies that were found cost nothing."""

    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0


def worst_case(messages: Conversation, settings: Settings) -> Tokens:
    """The most that a request can take: no tokenizer makes more tokens than bytes."""
    size = sum(len(text.encode("utf-8", "replace")) + _TURN for _, text in messages)
    return Tokens(size, settings.max_tokens)
