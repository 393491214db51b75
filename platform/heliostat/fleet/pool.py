"""Worker pools: dedicated to one run, or shared by successive runs."""

from __future__ import annotations

import threading
from typing import Protocol

from heliostat.fleet.team import Team
from heliostat.loop.work import Job


class WorkerPool(Protocol):
    """Source of a run's teams."""

    def acquire(self, job: Job, size: int, gpus: float, slot: int) -> Team:
        """Return a team for a job; its workers may still be starting.

        Args:
            job: what the team computes.
            size: workers of the team.
            gpus: GPUs of each worker, possibly a fraction.
            slot: index of the team in its run.
        """
        ...

    def release(self, team: Team, idle: bool) -> None:
        """Take back a team; ``idle`` if it is healthy and computes nothing."""


class DedicatedPool:
    """Workers that live as long as one run."""

    def acquire(self, job: Job, size: int, gpus: float, slot: int) -> Team:
        return Team(job, size, gpus, slot)

    def release(self, team: Team, idle: bool) -> None:
        team.kill()


class SharedPool:
    """Workers that serve successive runs, because starting one takes seconds.

    Only teams of one worker are shared: a larger team is bound to its mesh and lives as
    long as one run.  Several threads may acquire teams at once.
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
        """End all workers; a run that acquires one from now on is interrupted."""
        with self._lock:
            self._closed = True
            teams = list(self._teams)  # the run of a killed team releases it
        for team in teams:
            team.kill()
