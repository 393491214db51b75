"""``unfold`` on Ray: the same chunks as in one process, from many workers.

``cluster`` connects to Ray, ``worker`` is the actor, ``team`` is a worker or a group of
them sharing one mesh.  Here spans are given to teams, and lost teams are rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

from heliostat.device import cores
from heliostat.engine import Indivisible
from heliostat.errors import Paused, RequestError, RunFailed
from heliostat.fleet.cluster import connected
from heliostat.fleet.team import Lost, Team, Unplaced
from heliostat.grid import Chunk, Job, unbounded
from heliostat.unfold import Pace

FAILURES = 3
"""Losses in a row, without a chunk in between, after which a run has failed."""

PATIENCE = 900.0
"""Seconds without an answer after which a worker counts as hung."""

Tell = Callable[..., None]


def unfold(
    job: Job,
    seconds: float = 2.0,
    on: str = "local",
    workers: int | None = None,
    gpus: float | None = None,
    tell: Tell = lambda event, **details: None,
    goal: Callable[[], int] = unbounded,
) -> Iterator[Chunk]:
    """Every chunk of a job from workers on Ray; see :func:`heliostat.unfold.unfold`.

    Args:
        on: ``"local"`` for an embedded Ray, ``"auto"`` or an address for a cluster.
        workers: how many processes; default the whole machine or cluster.
        gpus: GPUs for all of them together; default all there are.
        tell: receives what happens to workers: ``placed``, ``resized``, ``retried``.
        goal: a step that no block may pass yet; whoever takes the chunks may move it
            before taking the next one, and the same teams go on.

    Raises:
        RunFailed: when a task raises, or after ``FAILURES`` losses in a row.
    """
    with connected(on, workers, gpus) as offered:
        if on == "local" and not offered.gpus and offered.workers > len(cores()):
            reason = f"{offered.workers} workers share {len(cores())} cores"
            tell("crowded", reason=reason)
        field = _Field(job, _crew(job, *offered), seconds, tell, goal)
        try:
            yield from field.chunks()
        finally:
            field.kill()


class Crew(NamedTuple):
    """How many teams, of how many workers each, with which share of the GPUs."""

    teams: int
    size: int
    gpus: float


def _crew(job: Job, workers: int, gpus: float) -> Crew:
    """Blocks are independent, so teams of one; a sharded replica takes one team."""
    if gpus > workers and gpus % workers:
        raise RequestError(
            f"gpus={gpus:g}: expected a multiple of the {workers} workers"
        )
    if job.task.sharded and 0 < gpus < workers:
        raise RequestError(
            f"workers {workers}: a sharded replica wants a GPU for each worker, there "
            f"are {gpus:g}"
        )
    if job.task.sharded:
        return Crew(1, workers, gpus / workers)
    teams = min(workers, len(job.spans))
    return Crew(teams, 1, min(1.0, gpus / teams))


class Flight(NamedTuple):
    """A chunk under way."""

    team: Team
    span: int
    refs: list[Any]


class _Field:
    """The teams of one run, and what each is doing."""

    def __init__(
        self,
        job: Job,
        crew: Crew,
        seconds: float,
        tell: Tell,
        goal: Callable[[], int],
    ) -> None:
        self.job, self.crew, self.tell, self.goal = job, crew, tell, goal
        self.pace = Pace(seconds)
        self.spans = list(job.spans)  # what is left of each, from its last chunk on
        self.teams: list[Team | None] = [None] * crew.teams
        self.flights: list[Flight] = []
        self.losses = 0
        self.paused: Paused | None = None
        self.patience = self._patience(4 * PATIENCE)  # until one is known

    def chunks(self) -> Iterator[Chunk]:
        self._form(dict.fromkeys(range(self.crew.teams), self.crew.size))
        while self.flights:
            yield from self._land()
            self._send_idle()
        if self.paused:
            raise self.paused

    def kill(self) -> None:
        for team in filter(None, self.teams):
            team.kill()

    def _form(self, sizes: dict[int, int]) -> None:
        """Build the teams of some places, all at once, and send them out.

        A place whose team is lost on the way is tried again, with as many workers as
        there was room for.
        """
        while sizes:
            teams = {p: Team(self.job, n, self.crew.gpus) for p, n in sizes.items()}
            self.teams = [teams.get(p, old) for p, old in enumerate(self.teams)]
            failed = self._seat(teams)
            for place in set(teams) - set(failed):
                self._announce(teams[place])
                self._send(teams[place])
            sizes = {place: size for place, size in failed.items() if size}

    def _seat(self, teams: dict[int, Team]) -> dict[int, int]:
        """Wait for new teams; the places of those that were lost, and a size to try."""
        failed = {}
        for step in ("seat", "ready"):
            for place, team in teams.items():
                if place in failed:
                    continue
                try:
                    team.seat(place) if step == "seat" else team.ready()
                except (Lost, Indivisible) as loss:
                    failed[place] = self._end(team, loss)
        return failed

    def _end(self, team: Team, loss: Exception) -> int:
        """End what is left of a team; the size that its successor should have.

        Normally the full one; but no more than there was room for, and a divisor of
        the sharded axis.  0 where there is no room and others go on: they take over.
        """
        team.kill()
        if isinstance(loss, Indivisible):
            divisors = [d for d in range(1, team.size) if loss.length % d == 0]
            if not divisors:
                raise RunFailed(f"{loss} of one worker") from loss
            size = divisors[-1]
            self.crew = self.crew._replace(size=size)
            self.tell("resized", workers=size, reason=str(loss))
            return size
        if isinstance(loss, Unplaced) and not loss.placed and self._others(team):
            self.tell("resized", workers=self._others(team), reason=str(loss))
            self.teams[self.teams.index(team)] = None
            return 0
        self.losses += 1
        if self.losses > FAILURES:
            raise RunFailed(
                f"{self.losses} losses in a row, the last: {loss}"
            ) from loss
        self.tell("retried", losses=self.losses, reason=str(loss))
        room = loss.placed if isinstance(loss, Unplaced) else 0
        return room or self.crew.size

    def _others(self, team: Team) -> int:
        """How many other teams have found their places."""
        return sum(t is not team and bool(t.places) for t in self.teams if t)

    def _announce(self, team: Team) -> None:
        self.tell(
            "placed",
            workers=team.size,
            layout=team.layout,
            pids=[p["pid"] for p in team.places],
            gpus=[p["gpus"] for p in team.places],
        )

    def _land(self) -> Iterator[Chunk]:
        """Wait for one chunk; send its team on before anybody commits it."""
        first = [f.refs[0] for f in self.flights]
        ready, _ = ray.wait(first, num_returns=1, timeout=self.patience)
        flight = self.flights[first.index(ready[0])] if ready else self.flights[0]
        self.flights.remove(flight)
        try:
            chunk = flight.team.collect(flight.span, flight.refs, self.patience)
        except (Lost, Indivisible) as loss:
            place = self.teams.index(flight.team)
            self._form({place: self._end(flight.team, loss)})
            return
        except Paused as pause:  # what the others are at is waited for, and kept
            self.paused = pause
            return
        self.losses = 0
        self.patience = self._patience(max(PATIENCE, 20 * chunk.seconds))
        span = self.spans[flight.span]
        rest = chunk.state if chunk.stop < span.stop else None  # nobody wants it
        self.spans[flight.span] = span._replace(start=chunk.stop, state=rest)
        self.pace.saw(chunk)
        self._send(flight.team)
        yield chunk

    def _patience(self, usual: float) -> float:
        """Seconds for one chunk: an hour at least for steps that are no computation,
        which may wait for others; that a worker has died is noticed all the same."""
        least = 0.0 if self.job.task.traced else 4 * PATIENCE
        return self.job.limits.seconds or max(usual, least)

    def _send_idle(self) -> None:
        """The goal may have moved while a chunk was with whoever took it."""
        busy = [flight.team for flight in self.flights]
        for team in self.teams:
            if team is not None and team not in busy:
                self._send(team)

    def _send(self, team: Team) -> None:
        """Give the team the span that is furthest behind and nobody works on."""
        if self.paused:
            return
        busy = {f.span for f in self.flights}
        behind = [
            (0 if self.job.in_order else span.start, index)
            for index, span in enumerate(self.spans)
            if span.start < min(span.stop, self.goal()) and index not in busy
        ]
        if behind:
            index = min(behind)[1]
            until = min(self.spans[index].stop, self.goal())
            refs = team.advance(index, self.spans[index], until, self.pace.strides)
            self.flights.append(Flight(team, index, refs))
