"""Cost of replies, and the cap of what may be spent.

    cost = prompt tokens × price + completion tokens × price        per 10⁶ tokens

A request is sent only if the cap holds even if every reply in flight is as long as it
can be: *spent + Σ worst case ≤ cap*.
"""

from __future__ import annotations

from typing import NamedTuple

from heliostat.assistants.message import Conversation, Settings
from heliostat.errors import RequestError

_PER_MESSAGE = 16  # tokens that a chat template puts around a message, at most


class Tokens(NamedTuple):
    """Numbers of tokens of a request."""

    prompt: int
    completion: int


class Prices(NamedTuple):
    """Prices of a million tokens, in any one currency."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, tokens: Tokens) -> float:
        """Return the cost of a request, in the currency of the prices.

        Example:
            >>> Prices(prompt=3.0, completion=15.0).cost(Tokens(1000, 200))
            0.006
        """
        parts = zip(self, tokens, strict=True)
        return sum(price * count for price, count in parts) / 1e6


class Budget(NamedTuple):
    """An account, the prices of tokens, and a cap.

    Example:
        >>> Budget("my run", Prices(prompt=0.5, completion=1.5), cap=20.0).cap
        20.0
    """

    account: str  # the account that is charged, such as a run's id
    prices: Prices = Prices()
    cap: float | None = None  # in the currency of the prices; None: no limit

    def validated(self) -> Budget:
        """Return this budget.

        Raises:
            RequestError: if a price or the cap is negative or not finite, or if there
                is a cap but tokens cost nothing.
        """
        amounts = (*self.prices, 0.0 if self.cap is None else self.cap)
        if not all(0 <= amount < float("inf") for amount in amounts):
            raise RequestError(
                f"prices {tuple(self.prices)} and cap {self.cap}: expected numbers "
                "that are finite and not negative"
            )
        if self.cap is not None and not any(self.prices):
            raise RequestError(f"cap {self.cap}: expected prices of tokens as well")
        return self


class Spent(NamedTuple):
    """Charges of an account so far; cached replies are free."""

    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0


def worst_case(messages: Conversation, settings: Settings) -> Tokens:
    """Return the largest numbers of tokens that a request can take.

    A text has at most as many tokens as bytes.

    Args:
        messages: messages of the request.
        settings: whose ``max_tokens`` bound the reply.

    Example:
        >>> worst_case([("user", "hello")], Settings(max_tokens=8))
        Tokens(prompt=21, completion=8)
    """
    texts = (text.encode("utf-8", "replace") for _, text in messages)
    return Tokens(sum(len(text) + _PER_MESSAGE for text in texts), settings.max_tokens)
