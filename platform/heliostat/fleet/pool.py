"""Whose workers a run has: its own, or some that serve one run after another."""

from __future__ import annotations

import threading
from typing import Protocol

from heliostat.fleet.team import Team
from heliostat.loop.work import Job


class WorkerPool(Protocol):
    """Where a run gets its teams from, and where it leaves them."""

    def acquire(self, job: Job, size: int, gpus: float, slot: int) -> Team:
        """A team for a job, on its way to its places."""
        ...

    def release(self, team: Team, idle: bool) -> None:
        """The run is done with a team; ``idle`` if it is well and has nothing to do."""


class DedicatedPool:
    """Workers that live as long as one run."""

    def acquire(self, job: Job, size: int, gpus: float, slot: int) -> Team:
        return Team(job, size, gpus, slot)

    def release(self, team: Team, idle: bool) -> None:
        team.kill()


class SharedPool:
    """Workers that go from run to run, since starting one takes seconds.

    Only teams of one: a group is bound to its mesh and lives as long as one run.  Runs
    take them from several threads at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Team] = []
        self._teams: list[Team] = []
        self._closed = False

    def acquire(self, job: Job, size: int, gpus: float, slot: int) -> Team:
        with self._lock:
            if self._closed:
                raise KeyboardInterrupt
            if size == 1 and self._idle:
                team = self._idle.pop()
                team.assign(job)
                return team
            team = Team(job, size, gpus, slot if size > 1 else len(self._teams))
            self._teams.append(team)
            return team

    def release(self, team: Team, idle: bool) -> None:
        with self._lock:
            if idle and team.size == 1 and not self._closed:
                self._idle.append(team)
                return
            self._teams.remove(team)
        team.kill()

    def close(self) -> None:
        """End all workers; runs that wait for one are interrupted."""
        with self._lock:
            self._closed = True
        for team in self._teams:
            team.kill()
