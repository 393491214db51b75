"""Errors, by who has to act: the user, the owner of the store, or the task's author."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RequestError(ValueError):
    """A request that makes no sense; nothing was stored. Exit status 2.

    Example:
        >>> import heliostat as hs
        >>> issubclass(hs.RequestError, ValueError)
        True
    """


class RayUnavailable(RequestError):
    """No Ray to compute on: it does not start, does not answer, or refuses the token.

    Example:
        >>> issubclass(RayUnavailable, RequestError)
        True
    """


class StoreError(RuntimeError):
    """A store that cannot be written, or that is damaged. Exit status 1.

    Example:
        >>> import heliostat as hs
        >>> issubclass(hs.Busy, hs.StoreError)
        True
    """


class CannotRead(StoreError):
    """A part of a store that this machine cannot read now; it says nothing of the part.

    Example:
        >>> issubclass(CannotRead, StoreError)
        True
    """


class RunFailed(RuntimeError):
    """A run that ended as failed; its commits are kept. Exit status 1.

    Example:
        >>> import heliostat as hs
        >>> str(hs.RunFailed("workers were lost 3 times"))
        'workers were lost 3 times'
    """


class Paused(RuntimeError):
    """A task cannot go on now, though nothing is wrong with it.

    Raise it in ``step``: the run ends as stopped, and can be resumed.

    Example:
        >>> import heliostat as hs
        >>> def ask(server):
        ...     raise hs.Paused(f"{server} is silent; resume later")
        >>> ask("localhost")
        Traceback (most recent call last):
        heliostat.errors.Paused: localhost is silent; resume later
    """


class Busy(StoreError):
    """Another driver owns the run. Exit status 1.

    Example:
        >>> import heliostat as hs
        >>> str(hs.Busy("process 41 drives the run"))
        'process 41 drives the run'
    """


def did_you_mean(name: str, choices: Iterable[str], likeness: float = 0.5) -> str:
    """Suggest the choice that is most like a mistyped name, whatever the case.

    Args:
        name: the mistyped name.
        choices: names that exist.
        likeness: least share of common letters, in [0, 1].

    Returns:
        The end of an error message; empty if no choice is similar.

    Example:
        >>> did_you_mean("walker", ["walkers", "steps"])
        "; did you mean 'walkers'?"
    """
    by_lower = {choice.lower(): choice for choice in reversed(list(choices))}
    near = difflib.get_close_matches(name.lower(), by_lower, 1, likeness)
    return f"; did you mean '{by_lower[near[0]]}'?" if near else ""
