"""Pools of workers that successive runs share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from heliostat.fleet.pool import SharedPool


@dataclass(eq=False)
class Team:
    """A team whose run notices at once that it was killed, as a thread may."""

    pool: SharedPool
    size: int = 1
    kills: list[Any] = field(default_factory=list)

    def kill(self):
        self.kills.append(self)
        if len(self.kills) == 1:
            self.pool.release(self, idle=False)  # pyright: ignore


def test_closing_kills_all_teams_although_their_runs_release_them():
    pool = SharedPool()
    teams = [Team(pool) for _ in range(5)]
    pool._teams.extend(teams)  # pyright: ignore
    pool.close()
    assert all(team.kills for team in teams) and not pool._teams
