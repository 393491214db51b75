"""The teams of one run: spans are given to them, and lost teams are rebuilt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

from heliostat.errors import Paused, RunFailed
from heliostat.fleet.pool import WorkerPool
from heliostat.fleet.team import NotScheduled, Team, WorkerLost
from heliostat.loop.run import ChunkSizer
from heliostat.loop.sharding import Indivisible
from heliostat.loop.work import Chunk, Job

MAX_LOSSES = 3
"""Losses in a row, without a chunk in between, after which a run has failed."""

HEARTBEAT_TIMEOUT = 900.0
"""Seconds without an answer after which a worker counts as hung."""

OnEvent = Callable[..., None]


class TeamLayout(NamedTuple):
    """How many teams, of how many workers each, with which share of the GPUs."""

    teams: int
    size: int
    gpus: float


class InFlight(NamedTuple):
    """A chunk under way."""

    team: Team
    span: int
    refs: list[Any]


class Scheduler:
    """The teams of one run, and what each is doing."""

    def __init__(
        self,
        job: Job,
        layout: TeamLayout,
        pool: WorkerPool,
        pace: ChunkSizer,
        on_event: OnEvent,
        goal: Callable[[], int],
    ) -> None:
        self.job, self.layout, self.pool, self.pace = job, layout, pool, pace
        self.on_event, self.goal = on_event, goal
        self.spans = list(job.spans)  # what is left of each, from its last chunk on
        self.teams: list[Team | None] = [None] * layout.teams
        self.in_flight: list[InFlight] = []
        self.losses = 0
        self.paused: Paused | None = None
        self.timeout = self._chunk_timeout(4 * HEARTBEAT_TIMEOUT)  # until one is known

    def chunks(self) -> Iterator[Chunk]:
        self._start_teams(dict.fromkeys(range(self.layout.teams), self.layout.size))
        while self.in_flight:
            yield from self._next_result()
            self._send_idle()
        if self.paused:
            raise self.paused

    def close(self) -> None:
        """Give the teams back; who is still at a chunk is of no use to others."""
        busy = [flight.team for flight in self.in_flight]
        for team in filter(None, self.teams):
            self.pool.release(team, idle=team not in busy and bool(team.layout))

    def _start_teams(self, sizes: dict[int, int]) -> None:
        """Build the teams of some places, all at once, and send them out.

        A place whose team is lost on the way is tried again, with as many workers as
        there was room for.
        """
        while sizes:
            teams = {
                place: self.pool.acquire(self.job, size, self.layout.gpus, place)
                for place, size in sizes.items()
            }
            self.teams = [teams.get(p, old) for p, old in enumerate(self.teams)]
            failed = self._wait_ready(teams)
            for place in set(teams) - set(failed):
                self._report_placed(teams[place])
                self._send(teams[place])
            sizes = {place: size for place, size in failed.items() if size}

    def _wait_ready(self, teams: dict[int, Team]) -> dict[int, int]:
        """Wait for new teams; the places of those that were lost, and a size to try."""
        failed = {}
        for step in ("seat", "ready"):
            for place, team in teams.items():
                if place in failed:
                    continue
                try:
                    team.assign_ranks() if step == "seat" else team.wait_ready()
                except (WorkerLost, Indivisible) as loss:
                    failed[place] = self._remove_team(team, loss)
        return failed

    def _remove_team(self, team: Team, loss: Exception) -> int:
        """End what is left of a team; the size that its successor should have.

        Normally the full one; but no more than there was room for, and a divisor of
        the sharded axis.  0 where there is no room and others go on: they take over.
        """
        self.pool.release(team, idle=False)
        self.teams[self.teams.index(team)] = None
        if isinstance(loss, Indivisible):
            divisors = [d for d in range(1, team.size) if loss.length % d == 0]
            if not divisors:
                raise RunFailed(f"{loss} of one worker") from loss
            size = divisors[-1]
            self.layout = self.layout._replace(size=size)
            self.on_event("resized", workers=size, reason=str(loss))
            return size
        if (
            isinstance(loss, NotScheduled)
            and not loss.scheduled
            and self._other_teams(team)
        ):
            self.on_event("resized", workers=self._other_teams(team), reason=str(loss))
            return 0
        self.losses += 1
        if self.losses > MAX_LOSSES:
            raise RunFailed(
                f"{self.losses} losses in a row, the last: {loss}"
            ) from loss
        self.on_event("retried", losses=self.losses, reason=str(loss))
        room = loss.scheduled if isinstance(loss, NotScheduled) else 0
        return room or self.layout.size

    def _other_teams(self, team: Team) -> int:
        """How many other teams have found their places."""
        return sum(t is not team and bool(t.nodes) for t in self.teams if t)

    def _report_placed(self, team: Team) -> None:
        self.on_event(
            "placed",
            workers=team.size,
            layout=team.layout,
            pids=[p["pid"] for p in team.nodes],
            gpus=[p["gpus"] for p in team.nodes],
        )

    def _next_result(self) -> Iterator[Chunk]:
        """Wait for one chunk; send its team on before anybody commits it."""
        first = [f.refs[0] for f in self.in_flight]
        ready, _ = ray.wait(first, num_returns=1, timeout=self.timeout)
        flight = self.in_flight[first.index(ready[0])] if ready else self.in_flight[0]
        self.in_flight.remove(flight)
        try:
            chunk = flight.team.collect(flight.span, flight.refs, self.timeout)
        except (WorkerLost, Indivisible) as loss:
            place = self.teams.index(flight.team)
            self._start_teams({place: self._remove_team(flight.team, loss)})
            return
        except Paused as pause:  # what the others are at is waited for, and kept
            self.paused = pause
            return
        self.losses = 0
        self.timeout = self._chunk_timeout(max(HEARTBEAT_TIMEOUT, 20 * chunk.seconds))
        span = self.spans[flight.span]
        rest = chunk.state if chunk.stop < span.stop else None  # nobody wants it
        self.spans[flight.span] = span._replace(start=chunk.stop, state=rest)
        self.pace.update(chunk)
        self._send(flight.team)
        yield chunk

    def _chunk_timeout(self, default: float) -> float:
        """Seconds for one chunk: an hour at least for steps that are no computation,
        which may wait for others; that a worker has died is noticed all the same."""
        least = 0.0 if self.job.task.traced else 4 * HEARTBEAT_TIMEOUT
        return self.job.limits.seconds or max(default, least)

    def _send_idle(self) -> None:
        """The goal may have moved while a chunk was with whoever took it."""
        busy = [flight.team for flight in self.in_flight]
        for team in self.teams:
            if team is not None and team not in busy:
                self._send(team)

    def _send(self, team: Team) -> None:
        """Give the team the span that is furthest behind and nobody works on."""
        if self.paused:
            return
        busy = {f.span for f in self.in_flight}
        behind = [
            (0 if self.job.in_order else span.start, index)
            for index, span in enumerate(self.spans)
            if span.start < min(span.stop, self.goal()) and index not in busy
        ]
        if behind:
            index = min(behind)[1]
            until = min(self.spans[index].stop, self.goal())
            refs = team.advance(index, self.spans[index], until, self.pace.strides)
            self.in_flight.append(InFlight(team, index, refs))
