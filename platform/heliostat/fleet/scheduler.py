"""Scheduler of one run's teams: assigns spans, and replaces teams that were lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ray

from heliostat.errors import Paused, RunFailed
from heliostat.fleet.pool import WorkerPool
from heliostat.fleet.team import NotScheduled, Team, WorkerLost
from heliostat.loop.run import ChunkSizer
from heliostat.loop.sharding import Indivisible
from heliostat.loop.work import Chunk, Job, furthest_behind

MAX_LOST_TEAMS = 3
"""Lost teams in a row, without a chunk in between, that a run survives."""

MIN_CHUNK_TIMEOUT = 900.0
"""Seconds that a chunk may take at least before its team counts as hung.

It may take 20 times as long as the last chunk, if that is more.  A first chunk, and any
chunk of a task in Python, may take four times this minimum."""

OnEvent = Callable[..., None]


class TeamAllocation(NamedTuple):
    """Number of teams, workers of each team, and GPUs of each worker."""

    teams: int
    size: int
    gpus: float


class InFlight(NamedTuple):
    """A chunk that a team is computing."""

    team: Team
    span: int
    refs: list[Any]


class Scheduler:
    """Scheduler of one run's teams.

    Each team has a slot and computes one chunk at a time.  A team that loses a worker
    is ended, and its slot gets a new team, which starts from the last chunk.

    Args:
        job: the spans to compute.
        allocation: teams of the run.
        pool: source of the teams.
        sizer: number of strides of the next chunk.
        on_event: called as ``on_event(name, **details)`` for what happens to workers.
        barrier: returns a step that no block may pass yet.
    """

    def __init__(
        self,
        job: Job,
        allocation: TeamAllocation,
        pool: WorkerPool,
        sizer: ChunkSizer,
        on_event: OnEvent,
        barrier: Callable[[], int],
    ) -> None:
        self.job, self.allocation, self.pool, self.sizer = job, allocation, pool, sizer
        self.on_event, self.barrier = on_event, barrier
        self.spans = list(job.spans)  # the rest of each, after its last chunk
        self.teams: list[Team | None] = [None] * allocation.teams  # by slot
        self.in_flight: list[InFlight] = []
        self.lost_in_a_row = 0
        self.paused: Paused | None = None
        self.timeout = self._chunk_timeout(4 * MIN_CHUNK_TIMEOUT)  # of a first chunk

    def chunks(self) -> Iterator[Chunk]:
        """Yield every chunk of the job as it arrives.

        Raises:
            Paused: if the task cannot go on for now, after the other teams' chunks.
            RunFailed: when the task raises, or after too many lost teams in a row.
        """
        self._start_teams(
            dict.fromkeys(range(self.allocation.teams), self.allocation.size)
        )
        while self.in_flight:
            yield from self._next_result()
            self._send_idle()
        if self.paused:
            raise self.paused

    def close(self) -> None:
        """Return the teams to the pool; a team in the middle of a chunk is not idle."""
        busy = [flight.team for flight in self.in_flight]
        for team in filter(None, self.teams):
            self.pool.release(team, idle=team not in busy and bool(team.layout))

    def _start_teams(self, sizes: dict[int, int]) -> None:
        """Start teams, by slot and size, all at once, and send them their first span.

        A slot whose team is lost while it starts gets another one.
        """
        while sizes:
            teams = {
                slot: self.pool.acquire(self.job, size, self.allocation.gpus, slot)
                for slot, size in sizes.items()
            }
            self.teams = [teams.get(slot, old) for slot, old in enumerate(self.teams)]
            failed = self._wait_ready(teams)
            for slot in set(teams) - set(failed):
                self._report_placed(teams[slot])
                self._send(teams[slot])
            sizes = {slot: size for slot, size in failed.items() if size}

    def _wait_ready(self, teams: dict[int, Team]) -> dict[int, int]:
        """Wait for new teams; return the slots of lost ones and their next sizes."""
        failed: dict[int, int] = {}
        for wait in (Team.assign_ranks, Team.wait_ready):
            for slot, team in teams.items():
                if slot in failed:
                    continue
                try:
                    wait(team)
                except (WorkerLost, Indivisible) as error:
                    failed[slot] = self._end_team(team, error)
        return failed

    def _next_result(self) -> Iterator[Chunk]:
        """Wait for one chunk, send its team on, then yield the chunk.

        A team that lost a worker is replaced here.
        """
        first = [flight.refs[0] for flight in self.in_flight]
        ready, _ = ray.wait(first, num_returns=1, timeout=self.timeout)
        # after a timeout, collecting the oldest one raises WorkerLost
        flight = self.in_flight[first.index(ready[0])] if ready else self.in_flight[0]
        self.in_flight.remove(flight)
        try:
            chunk = flight.team.collect(flight.span, flight.refs, self.timeout)
        except (WorkerLost, Indivisible) as error:
            slot = self.teams.index(flight.team)
            self._start_teams({slot: self._end_team(flight.team, error)})
            return
        except Paused as pause:  # chunks of the other teams are awaited and kept
            self.paused = pause
            return
        self.lost_in_a_row = 0
        self.timeout = self._chunk_timeout(max(MIN_CHUNK_TIMEOUT, 20 * chunk.seconds))
        span = self.spans[flight.span]
        state = chunk.state if chunk.stop < span.stop else None  # of no use at the end
        self.spans[flight.span] = span._replace(start=chunk.stop, state=state)
        self.sizer.update(chunk)
        self._send(flight.team)
        yield chunk

    def _end_team(self, team: Team, error: Exception) -> int:
        """End a team that lost a worker, and return the size of its successor.

        The size is 0 where the cluster has no room and the other teams take over.

        Raises:
            RunFailed: after too many lost teams in a row, or if no size divides the
                axis.
        """
        self.pool.release(team, idle=False)
        self.teams[self.teams.index(team)] = None
        if isinstance(error, Indivisible):
            return self._shrink(team, error)
        size = self.allocation.size
        room = error.scheduled if isinstance(error, NotScheduled) else size
        others = self._scheduled_teams()
        if not room and others:
            self.on_event("resized", workers=others, reason=str(error))
            return 0
        self.lost_in_a_row += 1
        if self.lost_in_a_row > MAX_LOST_TEAMS:
            raise RunFailed(
                f"a team was lost {self.lost_in_a_row} times in a row, the last time: "
                f"{error}"
            ) from error
        self.on_event("retried", losses=self.lost_in_a_row, reason=str(error))
        return room or size

    def _shrink(self, team: Team, error: Indivisible) -> int:
        """Return the largest size below the team's that divides the sharded axis."""
        divisors = [d for d in range(1, team.size) if error.length % d == 0]
        if not divisors:
            raise RunFailed(f"{error} of one worker") from error
        size = divisors[-1]
        self.allocation = self.allocation._replace(size=size)
        self.on_event("resized", workers=size, reason=str(error))
        return size

    def _scheduled_teams(self) -> int:
        return sum(bool(team.nodes) for team in self.teams if team)

    def _report_placed(self, team: Team) -> None:
        self.on_event(
            "placed",
            workers=team.size,
            layout=team.layout,
            pids=[node["pid"] for node in team.nodes],
            gpus=[node["gpus"] for node in team.nodes],
        )

    def _chunk_timeout(self, default: float) -> float:
        """Return the seconds that a chunk may take.

        A step in Python may wait for a server, so it has an hour at least.  The death
        of a worker is noticed at once all the same.
        """
        least = 0.0 if self.job.task.traced else 4 * MIN_CHUNK_TIMEOUT
        return self.job.limits.seconds or max(default, least)

    def _send_idle(self) -> None:
        """Send idle teams on: the barrier may have moved since they stopped."""
        busy = [flight.team for flight in self.in_flight]
        for team in self.teams:
            if team is not None and team not in busy:
                self._send(team)

    def _send(self, team: Team) -> None:
        """Send a team the span that is furthest behind and that no team computes."""
        if self.paused:
            return
        busy = {flight.span for flight in self.in_flight}
        steps = [span.start for span in self.spans]
        index = furthest_behind(self.job, steps, self.barrier(), busy)
        if index is not None:
            until = min(self.spans[index].stop, self.barrier())
            refs = team.advance(index, self.spans[index], until, self.sizer.strides)
            self.in_flight.append(InFlight(team, index, refs))
