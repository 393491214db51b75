"""Retry a request until it has a reply, or until the request or the run has failed.

The cause of a failure decides how often the request is tried (``failures`` lists the
causes, :class:`RetryPolicy` the counts).  When the tries are used up, the question is
who is at fault, the request or the server:

1. If the failure cannot be the server's (a reply that is unusable or cannot be read),
   or if the server has answered others since the last attempt was sent, the request is
   at fault: raise ``Unanswered``, for this request only.
2. Otherwise wait until the server answers a health check, then send this request alone:
   no other waiting request is sent at the same time.  If it fails twice in this way,
   the request is at fault.
3. If no reply came for 15 min, counted to the next attempt that ``Retry-After``
   permits, raise ``Unreachable``: the run stops and can be resumed.  All requests that
   began before stop with it.  Do not wait for a server that never answered any request
   (unless it says that it is busy), nor for one that refused 30 times (429).

A key, an address or a model that is denied (401 to 405, redirects) raises
``RequestError`` if no request has ever succeeded; afterwards it may be an outage and is
retried.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from heliostat.assistants.client import Client
from heliostat.assistants.failures import (
    AccessDenied,
    AttemptFailed,
    RateLimited,
    ServerFailure,
)
from heliostat.assistants.health import is_alive
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.message import Messages, Settings, Unanswered, Unreachable
from heliostat.assistants.providers import Completion
from heliostat.errors import RequestError

_TRIES_ALONE = 2


class RetryPolicy(NamedTuple):
    """Limits of the attempts for one request, and of the waits between them."""

    attempts: int = 6  # failures allowed, other than the next three
    unusable: int = 2  # unusable replies allowed
    unavailable: int = 12  # 502 503 504 529 allowed
    rate_limited: int = 30  # 429 allowed
    silence: float = 900.0  # seconds without any reply before the run stops
    timeout: float = 120.0  # timeout of one attempt, from first byte to last, s
    first_wait: float = 0.5  # after the first failure, s
    longest_wait: float = 30.0  # without a Retry-After, s
    longest_retry_after: float = 300.0  # longer ones are cut to this, s


class Clock(NamedTuple):
    """Time and randomness, which tests replace."""

    monotonic: Callable[[], float] = time.monotonic
    wall_time: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    uniform: Callable[[], float] = random.random  # in [0, 1)


class Attempts:
    """Count of the failed attempts of one request, by kind.

    Args:
        policy: how many of each kind are allowed.
        started: time of the first attempt, s.
    """

    def __init__(self, policy: RetryPolicy, started: float) -> None:
        self.policy, self.started = policy, started
        self.count = 0
        self._by_limit: Counter[str] = Counter()

    def add(self, failure: AttemptFailed) -> None:
        """Count one more failure."""
        self.count += 1
        self._by_limit[failure.limit] += 1

    @property
    def exhausted(self) -> bool:
        """True if some kind of failure has reached its limit."""
        counts = self._by_limit.items()
        return any(count >= getattr(self.policy, limit) for limit, count in counts)


def backoff(failures: int, policy: RetryPolicy, uniform: float) -> float:
    """Return the seconds to wait after so many failures: exponential, with jitter.

    Jitter keeps requests that failed together from being retried together.

    Args:
        failures: number of failures of this request so far, at least 1.
        policy: the first and the longest wait.
        uniform: a random number in [0, 1); scales the wait by 1/2 to 1.

    Example:
        >>> backoff(3, RetryPolicy(first_wait=1.0), uniform=0.0)
        2.0
    """
    doubled = policy.first_wait * 2.0 ** min(failures - 1, 60)
    return min(doubled, policy.longest_wait) * (1 + uniform) / 2


@dataclass(frozen=True)
class RetryingClient:
    """A client whose failed requests are retried; many requests share it."""

    name: str  # name of the assistant, for error messages
    client: Client
    policy: RetryPolicy
    limiter: Limiter
    clock: Clock
    alone: Limiter = field(default_factory=lambda: Limiter(maximum=1))

    async def complete(self, messages: Messages, settings: Settings) -> Completion:
        """Return the completion of one request.

        Raises:
            Unanswered: if this request fails, though the server answers others.
            Unreachable: if the server answers no request.
            RequestError: if no request can succeed: a wrong key, no such model.
        """
        attempts = Attempts(self.policy, self.clock.monotonic())
        while True:
            try:
                return await self._attempt(messages, settings, attempts.started)
            except AttemptFailed as error:
                failure = error
            await self._raise_if_denied(failure)
            attempts.add(failure)
            if attempts.exhausted or self._is_silent(attempts):
                return await self._retry_alone(failure, attempts, messages, settings)
            if not failure.wait:  # otherwise the limiter pauses all requests
                await self._wait(attempts.count)

    async def _retry_alone(
        self,
        failure: AttemptFailed,
        attempts: Attempts,
        messages: Messages,
        settings: Settings,
    ) -> Completion:
        """Retry alone. If a request fails twice right after the server answered
        others, the fault is the request's: raise ``Unanswered``."""
        for _ in range(_TRIES_ALONE):
            if not self._server_may_be_at_fault(failure):
                break
            async with self.alone.slot():
                self._raise_if_given_up(attempts.started)
                await self._wait_for_recovery(failure, attempts)
                try:
                    return await self._attempt(messages, settings)
                except AttemptFailed as error:
                    failure = error
                    attempts.add(failure)
        raise Unanswered(_reason(failure, attempts)) from None

    def _server_may_be_at_fault(self, failure: AttemptFailed) -> bool:
        """Return True if the failure is of the server's kind and, since it was sent, no
        request was answered."""
        server = isinstance(failure, ServerFailure)
        return server and self.limiter.last_response <= failure.sent

    async def _wait_for_recovery(
        self, failure: AttemptFailed, attempts: Attempts
    ) -> None:
        """Repeat the health check until the server answers it.

        The waits are our own: a server may ask for almost none, and this loop has no
        limit of tries.

        Raises:
            Unreachable: if the server will not recover, or is silent for too long.
        """
        while not await is_alive(self._attempt):
            if not self._may_recover(failure) or self._is_silent(attempts):
                self.limiter.gave_up_at = self.clock.monotonic()
                self.limiter.gave_up_reason = _reason(failure, attempts)
                raise Unreachable(self.limiter.gave_up_reason) from None
            await self._wait(attempts.count)

    def _may_recover(self, failure: AttemptFailed) -> bool:
        known = self._ever_answered
        return isinstance(failure, ServerFailure) and failure.worth_waiting(known)

    async def _raise_if_denied(self, failure: AttemptFailed) -> None:
        """Raise RequestError if access is denied and no request ever succeeded."""
        if not isinstance(failure, AccessDenied) or self._ever_answered:
            return
        if failure.certain or not await is_alive(self._attempt):
            raise RequestError(f"{self.name}: {failure.mistake}") from None

    @property
    def _ever_answered(self) -> bool:
        return self.limiter.last_response > -math.inf

    def _is_silent(self, attempts: Attempts) -> bool:
        """Return True if the server was silent for too long since the first attempt."""
        return self.limiter.silence(attempts.started) > self.policy.silence

    def _raise_if_given_up(self, started: float) -> None:
        """Raise Unreachable if another request found the server silent since then."""
        if self.limiter.gave_up_at >= started:
            raise Unreachable(self.limiter.gave_up_reason)

    async def _attempt(
        self, messages: Messages, settings: Settings, started: float | None = None
    ) -> Completion:
        """Send the request once, when the limiter allows it, and report the outcome.

        Args:
            started: time of the request's first attempt; None for an urgent one (a
                health check, a retry alone), which overtakes all waiting requests.
        """
        async with self.limiter.slot(urgent=started is None) as refusals_before:
            if started is not None:
                self._raise_if_given_up(started)
            sent = self.clock.monotonic()
            try:
                completion = await self.client.complete(messages, settings)
            except AttemptFailed as error:
                error.sent = sent
                self._report_failure(error, refusals_before)
                raise
            except Unanswered:
                self.limiter.report_response()
                raise
            self.limiter.report_reply(refusals_before)
        return completion

    def _report_failure(self, failure: AttemptFailed, refusals_before: int) -> None:
        self.limiter.report_failure()
        if isinstance(failure, RateLimited):
            self.limiter.report_refusal(refusals_before)
        self.limiter.pause(failure.wait or 0.0)

    async def _wait(self, failures: int) -> None:
        uniform = self.clock.uniform()
        await self.clock.sleep(backoff(failures, self.policy, uniform))


def _reason(failure: AttemptFailed, attempts: Attempts) -> str:
    return f"{failure}; tried {attempts.count} times"
