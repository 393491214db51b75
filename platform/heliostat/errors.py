"""What can go wrong, by who has to act: the user, the store, or the run itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RequestError(ValueError):
    """The request makes no sense; nothing was stored. Exit status 2."""


class StoreError(RuntimeError):
    """The store cannot be written, or what it holds is damaged. Exit status 1."""


class RunFailed(RuntimeError):
    """The run ended as failed; what was committed is kept. Exit status 1."""


class Paused(RuntimeError):
    """A task cannot go on for now, and nothing is wrong with it: its run ends as
    stopped, and can be resumed."""


class Busy(StoreError):
    """Another driver owns the run. Exit status 1."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``"; did you mean 'walkers'?"``, or nothing where no name is near."""
    names = {name.lower(): name for name in reversed(list(known))}
    near = difflib.get_close_matches(given.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean '{names[near[0]]}'?" if near else ""
