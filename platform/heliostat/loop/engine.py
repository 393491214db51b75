"""How a block of replicas is stepped: as one compiled program, or as plain Python.

``traced`` compiles the ``programs`` of a task, over the ``lanes`` of one that can be
packed, and over the ``shards`` of one that is split; ``plain`` is for tasks that cannot
be traced; ``told`` holds what both tell against what was promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from heliostat.loop.compiled import Compiled
from heliostat.loop.python import Python
from heliostat.loop.sharding import AXIS, Indivisible
from heliostat.loop.state import State
from heliostat.loop.work import Member

__all__ = ["AXIS", "Compiled", "Engine", "Indivisible", "Python"]


class Engine(Protocol):
    """What the loop asks for; it does not know which engine it has.

    What comes to the host leads with an axis of lanes, of one entry but in packs; what
    is ``held`` between two calls is the engine's own business.
    """

    def compile(self, fresh: bool) -> None:
        """Make ready; ``fresh`` if some block will start from ``init``."""

    def init(self, block: int, lanes: Sequence[Member]) -> Any:
        """A block before its first step."""

    def advance(
        self, block: int, held: Any, start: int, stop: int
    ) -> tuple[Any, State]:
        """From one step to another, with rows ``(lanes, replicas, steps, ...)``."""
        ...

    def observe(self, block: int, held: Any) -> State:
        """What the task tells of a state, ``(lanes, replicas, 1, ...)``."""
        ...

    def pack(self, block: int, held: Any) -> State:
        """The state as it is stored, without the padding of the last block."""
        ...

    def unpack(self, block: int, state: State, lanes: Sequence[Member]) -> Any:
        """A block from what :meth:`pack` gave."""

    def pick(self, state: State, place: int) -> Any:
        """One replica out of what is stored of a block in one lane."""

    def stack(self, states: Sequence[State]) -> Any:
        """All replicas out of what is stored of all blocks."""
