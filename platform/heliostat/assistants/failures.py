"""Failures of one attempt: which kinds there are, and the kind of each HTTP status.

    AttemptFailed    408 425 409, replies that cannot be read
    ├ UnusableReply  replies that are too large, or that call tools
    └ ServerFailure  500 and other 5xx, timeouts, lost connections
      ├ ServerBusy   502 503 504 529
      ├ RateLimited  429
      └ AccessDenied 401 402 403 404 405, redirects

All other statuses (400, 413, 422, ...) raise ``Unanswered``: no retry can help.
:class:`~heliostat.assistants.retry.RetryPolicy` says how often each kind is retried.
"""

from __future__ import annotations

import datetime
import email.utils
import math
import re

RETRYABLE = frozenset((408, 409, 425))
UNAVAILABLE = frozenset((502, 503, 504, 529))
MISTAKES_BY_STATUS = {
    401: "the key was not accepted",
    402: "the account has no money left",
    403: "access was refused",
    404: "there is no such model or address",
    405: "the address takes no chats",
}


class AttemptFailed(Exception):
    """One attempt failed; the next one may succeed.

    Args:
        reason: one printable line.
        wait: seconds that the server asks clients to wait; None if it does not say.
    """

    limit = "attempts"  # the field of RetryPolicy that counts this kind

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait
        self.sent = math.inf  # time at which the attempt began, s


class UnusableReply(AttemptFailed):
    """The reply is complete but of no use; another attempt will hardly be better."""

    limit = "unusable"


class ServerFailure(AttemptFailed):
    """The fault may be the server's: other requests may fail as well."""

    def worth_waiting(self, ever_answered: bool) -> bool:
        """Return True if the server may recover.

        Args:
            ever_answered: True if it ever answered any request.
        """
        return ever_answered


class AccessDenied(ServerFailure):
    """Access was denied, perhaps to every request: a wrong key, address or model."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        mistake = MISTAKES_BY_STATUS.get(status, "it redirects; give the final address")
        self.mistake = f"{mistake} ({reason})"
        self.certain = status in (401, 402)  # every other request fails, too

    def worth_waiting(self, ever_answered: bool) -> bool:
        return ever_answered and not self.certain


class ServerBusy(ServerFailure):
    """The server, or a proxy in front of it, cannot answer any request now."""

    limit = "unavailable"

    def worth_waiting(self, ever_answered: bool) -> bool:
        return True


class RateLimited(ServerFailure):
    """The server refused the request because there are too many (429)."""

    limit = "rate_limited"

    def worth_waiting(self, ever_answered: bool) -> bool:
        return False  # its 30 tries have already waited long enough


def retry_after(header: str | None, now: float, longest: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; None if it has none.

    Args:
        header: a number of seconds, or a date.
        now: seconds since the epoch.
        longest: upper bound of the result, s.

    Example:
        >>> retry_after("120", now=0.0, longest=60.0)
        60.0

    Reference: RFC 9110, section 10.2.3.
    """
    text = (header or "").strip()
    seconds = float(text) if _SECONDS.fullmatch(text) else _timestamp(text) - now
    return min(max(seconds, 0.0), longest) if math.isfinite(seconds) else None


_SECONDS = re.compile(r"[+-]?[0-9]{1,99}(\.[0-9]*)?")  # some servers send fractions


def _timestamp(text: str) -> float:
    """Parse a date into seconds since the epoch; a date without a zone is in UTC."""
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return math.nan
    aware = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return aware.timestamp()
