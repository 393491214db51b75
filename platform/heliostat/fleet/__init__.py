"""``unfold`` on Ray: the same chunks as in one process, from many workers.

``cluster`` connects to Ray, ``worker`` is the actor, ``team`` is a worker or a group of
them sharing one mesh.  Here blocks are given to teams, and lost teams are rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

from heliostat.errors import RunFailed
from heliostat.fleet.cluster import connected
from heliostat.fleet.team import Lost, Team, settle
from heliostat.unfold import Chunk, Indivisible, Job, Pace

FAILURES = 3
"""Losses in a row, without a chunk in between, after which a run has failed."""

PATIENCE = 900.0
"""Seconds without an answer after which a worker counts as hung."""


class Crew(NamedTuple):
    """How many teams of how many workers, with which share of the GPUs each."""

    teams: int
    size: int
    gpus: float


class Flight(NamedTuple):
    """A chunk under way."""

    team: Team
    block: int
    refs: list[Any]


def unfold(
    job: Job,
    seconds: float = 2.0,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    tell: Callable[..., None] = lambda event, **details: None,
) -> Iterator[Chunk]:
    """Every chunk of a job from workers on Ray; see :func:`heliostat.unfold.unfold`.

    Args:
        on: ``"local"`` for an embedded Ray, ``"auto"`` or an address for a cluster.
        workers: how many processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        tell: receives what happens to workers: ``placed``, ``retried``.

    Raises:
        RunFailed: when a task raises, or after ``FAILURES`` losses in a row.
    """
    with connected(on, workers, gpus) as offered:
        crew = _crew(job, workers or offered.workers, offered.gpus)
        yield from _Field(job, crew, seconds, tell).chunks()


def _crew(job: Job, workers: int, gpus: float) -> Crew:
    """Blocks are independent, so teams of one; a sharded replica takes one team."""
    if job.task.sharded:
        return Crew(1, workers, gpus / workers)
    teams = min(workers, len(job.starts))
    return Crew(teams, 1, min(1.0, gpus / teams) if gpus else 0)


class _Field:
    """The teams of one run and what each is doing."""

    def __init__(
        self, job: Job, crew: Crew, seconds: float, tell: Callable[..., None]
    ) -> None:
        self.job, self.crew, self.tell = job, crew, tell
        self.pace = Pace(seconds)
        self.reached = dict(job.starts)  # block -> (step, state)
        self.flights: list[Flight] = []
        self.failures = 0
        self.teams: list[Team] = []

    def chunks(self) -> Iterator[Chunk]:
        try:
            for index in range(self.crew.teams):
                self._start_team(index)
            while self.flights:
                yield from self._land()
        finally:
            for team in self.teams:
                team.kill()

    def _land(self) -> Iterator[Chunk]:
        """Wait for one chunk; send its team on before anybody commits it."""
        first = [f.refs[0] for f in self.flights]
        ready, _ = ray.wait(first, num_returns=1, timeout=PATIENCE)
        flight = self.flights[first.index(ready[0])] if ready else self.flights[0]
        self.flights.remove(flight)
        try:
            chunk = flight.team.collect(flight.refs, PATIENCE)
        except (Lost, Indivisible) as loss:
            self._replace(flight.team, loss)
            return
        self.failures = 0
        self.reached[chunk.block] = (chunk.stop, chunk.state)
        self.pace.saw(chunk)
        self._send(flight.team)
        yield chunk

    def _send(self, team: Team) -> None:
        """Give the team the block that is furthest behind and nobody works on."""
        busy = {f.block for f in self.flights}
        behind = [
            (step, block)
            for block, (step, _) in self.reached.items()
            if step < self.job.until and block not in busy
        ]
        if behind:
            step, block = min(behind)
            state = self.reached[block][1]
            strides, until = self.pace.strides, self.job.until
            refs = team.advance(block, step, state, strides, until)
            self.flights.append(Flight(team, block, refs))

    def _start_team(self, index: int, size: int | None = None) -> None:
        """A team on its cores, or as many workers of it as there is room for.

        A divisor of the sharded axis is what its first chunk asks for, see ``_replace``.
        """
        size = size or self.crew.size
        wait = 120.0 if not self.teams else 60.0
        while True:
            try:
                team = settle(self.job, size, self.crew.gpus, index, wait)
                break
            except Lost as loss:
                self._count(loss)
        self.teams.append(team)
        self.tell("placed", workers=team.size, layout=team.layout, pids=team.pids)
        self._send(team)

    def _replace(self, team: Team, loss: Exception) -> None:
        """End what is left of a team and build it anew from the last chunk."""
        team.kill()
        index = self.teams.index(team)
        self.teams.remove(team)
        size = team.size
        if isinstance(loss, Indivisible):
            size = max(d for d in range(1, size + 1) if loss.length % d == 0)
            self.tell("resized", workers=size, reason=str(loss))
        else:
            size = self.crew.size
            self._count(loss)
        self._start_team(index, size)

    def _count(self, loss: Exception) -> None:
        self.failures += 1
        if self.failures > FAILURES:
            raise RunFailed(
                f"{self.failures} failures of workers in a row, the last: {loss}"
            ) from loss
        self.tell("retried", failures=self.failures, reason=str(loss))
