"""The teams of one run: spans are given to them, and lost teams are rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

from heliostat.errors import Paused, RunFailed
from heliostat.fleet.pool import Hands
from heliostat.fleet.team import Lost, Team, Unplaced
from heliostat.loop.run import ChunkSizer
from heliostat.loop.sharding import Indivisible
from heliostat.loop.work import Chunk, Job

FAILURES = 3
"""Losses in a row, without a chunk in between, after which a run has failed."""

PATIENCE = 900.0
"""Seconds without an answer after which a worker counts as hung."""

Tell = Callable[..., None]


class Crew(NamedTuple):
    """How many teams, of how many workers each, with which share of the GPUs."""

    teams: int
    size: int
    gpus: float


class Flight(NamedTuple):
    """A chunk under way."""

    team: Team
    span: int
    refs: list[Any]


class Field:
    """The teams of one run, and what each is doing."""

    def __init__(
        self,
        job: Job,
        crew: Crew,
        hands: Hands,
        pace: ChunkSizer,
        tell: Tell,
        goal: Callable[[], int],
    ) -> None:
        self.job, self.crew, self.hands, self.pace = job, crew, hands, pace
        self.tell, self.goal = tell, goal
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

    def leave(self) -> None:
        """Give the teams back; who is still at a chunk is of no use to others."""
        busy = [flight.team for flight in self.flights]
        for team in filter(None, self.teams):
            self.hands.leave(team, idle=team not in busy and bool(team.layout))

    def _form(self, sizes: dict[int, int]) -> None:
        """Build the teams of some places, all at once, and send them out.

        A place whose team is lost on the way is tried again, with as many workers as
        there was room for.
        """
        while sizes:
            teams = {
                place: self.hands.team(self.job, size, self.crew.gpus, place)
                for place, size in sizes.items()
            }
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
                    team.seat() if step == "seat" else team.ready()
                except (Lost, Indivisible) as loss:
                    failed[place] = self._end(team, loss)
        return failed

    def _end(self, team: Team, loss: Exception) -> int:
        """End what is left of a team; the size that its successor should have.

        Normally the full one; but no more than there was room for, and a divisor of
        the sharded axis.  0 where there is no room and others go on: they take over.
        """
        self.hands.leave(team, idle=False)
        self.teams[self.teams.index(team)] = None
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
        self.pace.update(chunk)
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
