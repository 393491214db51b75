"""The interface of engines: they step a block of replicas, for one run or a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from heliostat.loop.state import NamedArrays
from heliostat.loop.work import Member


class Engine(Protocol):
    """Stepper of blocks; the loop does not know which implementation it has.

    Arrays on the host lead with an axis of members, of length one for a run alone. The
    ``state`` between two calls is private to the engine, and may lie on devices.
    """

    def compile(self, with_init: bool) -> None:
        """Compile all programs; that of ``init`` only if ``with_init``."""

    def init(self, block: int, members: Sequence[Member]) -> Any:
        """Return the state of a block before its first step."""

    def advance(
        self, block: int, state: Any, start: int, stop: int
    ) -> tuple[Any, NamedArrays]:
        """Step from ``start`` to ``stop``, within one stride.

        Returns:
            The next state; and the rows, each ``(members, replicas, steps, ...)``.
        """
        ...

    def observe(self, block: int, state: Any) -> NamedArrays:
        """Return what the task observes, each ``(members, replicas, 1, ...)``."""
        ...

    def to_host(self, block: int, state: Any) -> NamedArrays:
        """Return the state to be stored, each ``(members, ...)``, without padding."""
        ...

    def from_host(
        self, block: int, stored: NamedArrays, members: Sequence[Member]
    ) -> Any:
        """Return the state of a block from the arrays that :meth:`to_host` gave."""

    def refresh(self, block: int, state: Any) -> Any:
        """Return the state of a block with all that it caches computed anew."""

    def adopt(self, block: int, stored: NamedArrays, members: Sequence[Member]) -> Any:
        """Return the first state of a block from the stored state of a parent."""

    def replica_state(self, stored: NamedArrays, index: int) -> Any:
        """Return one replica of a block from the stored state of one member."""

    def all_replicas(self, stored: Sequence[NamedArrays]) -> Any:
        """Return all replicas from the stored states of all blocks of one member."""
