"""A team: one worker, or several joined into one mesh. It lives and dies as a unit."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from heliostat.device import spread
from heliostat.errors import RequestError, RunFailed
from heliostat.fleet.worker import Seat, Worker
from heliostat.unfold import Chunk, Indivisible, Job

START = 120.0
"""Seconds that starting the workers of a team may take."""


class Lost(Exception):
    """A member of the team is gone; the team must be rebuilt."""


class Unplaced(Lost):
    """The cluster has no room for all members; ``placed`` is for how many it has."""

    def __init__(self, placed: int, size: int) -> None:
        super().__init__(f"only {placed} of {size} workers could be placed")
        self.placed = placed


class Team:
    """Workers that advance one block at a time, in step with each other.

    Args:
        job: what they work on.
        size: how many; more than one are joined by ``jax.distributed``.
        gpus: GPUs of each worker, possibly a fraction; 0 is a CPU worker.

    Raises:
        Unplaced: if the cluster has no room for all of them in time.
        Lost: if a member dies while the team forms.
    """

    def __init__(self, job: Job, size: int, gpus: float, offset: int, wait: float) -> None:
        actor = ray.remote(Worker)
        name = f"{type(job.task).__name__}(seed={job.seed})"
        self.size, self.holds = size, {}
        self.actors = [
            actor.options(
                num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0
            ).remote(gpus)
            for _ in range(size)
        ]
        self.name, self.layout = name, ""
        try:
            self._join(job, gpus, offset, wait)
        except BaseException:
            self.kill()
            raise

    def advance(
        self, block: int, step: int, state: Any, strides: int, until: int
    ) -> list[Any]:
        """Submit the next chunk; the first of the references will hold it."""
        fresh = self.holds.get(block) != step
        given = ray.put(state) if fresh and state is not None else None
        self.holds.pop(block, None)
        return [
            a.advance.remote(block, step, given, fresh, strides, until)
            for a in self.actors
        ]

    def collect(self, refs: list[Any], patience: float) -> Chunk:
        """The chunk that was submitted.

        Raises:
            Lost: if a member died or does not answer within ``patience`` seconds.
            RunFailed: if the task itself raised; repeating it would not help.
        """
        chunk = _get(refs, patience)[0]
        self.holds[chunk.block] = chunk.stop
        return chunk

    def kill(self) -> None:
        """End every member at once."""
        for actor in self.actors:
            with contextlib.suppress(Exception):
                ray.kill(actor)

    def _join(self, job: Job, gpus: float, offset: int, wait: float) -> None:
        """Seat every worker on a core of its node and let them find each other."""
        asked = [a.where.remote() for a in self.actors]
        ready, _ = ray.wait(asked, num_returns=self.size, timeout=wait)
        if len(ready) < self.size:
            raise Unplaced(len(ready), self.size)
        places = _get(asked, START)
        self.pids = [p["pid"] for p in places]
        coordinator = ""
        if self.size > 1:
            alone = len({p["node"] for p in places}) == 1
            host = "127.0.0.1" if alone else places[0]["address"]
            coordinator = f"{host}:{places[0]['port']}"
        task = cloudpickle.dumps(job.task)
        seats = [
            Seat(rank, self.size, None if gpus else core, coordinator)
            for rank, core in enumerate(_cores(places, offset))
        ]
        joins = zip(self.actors, seats, strict=True)
        layouts = _get(
            [a.join.remote(s, task, job.seed, job.x64) for a, s in joins], START
        )
        self.layout = layouts[0]


def _cores(places: list[dict[str, Any]], offset: int) -> list[int]:
    """A core of its own node for each worker, counting on from ``offset``."""
    seen: Counter[str] = Counter()
    cores = []
    for place in places:
        local = offset + seen[place["node"]]
        seen[place["node"]] += 1
        cores.append(spread(local + 1, place["cores"])[-1])
    return cores


def _get(refs: list[Any], patience: float) -> list[Any]:
    """All results, or the reason why there are none, told apart by who must act."""
    done, pending = ray.wait(refs, num_returns=len(refs), timeout=patience)
    errors = [e for ref in done if (e := _error(ref))]
    if any(isinstance(e, RayActorError) for e in errors):
        raise Lost(_reason(next(e for e in errors if isinstance(e, RayActorError))))
    if pending:
        raise Lost(f"no answer for {patience:.0f} s")
    for error in errors:
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, Indivisible | RequestError):
            raise cause
        if len(refs) > 1 and _is_collective(error):
            raise Lost("a collective operation failed: a member of the team is gone")
        raise RunFailed(str(error).strip()) from error
    return ray.get(refs, timeout=60)


def _error(ref: Any) -> Exception | None:
    try:
        ray.get(ref, timeout=60)
    except (RayActorError, RayTaskError, GetTimeoutError) as error:
        return error
    return None


def _is_collective(error: Exception) -> bool:
    words = ("Gloo", "gloo", "NCCL", "Connection closed", "coordination service")
    return any(word in str(error) for word in words)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 300 else text[:300] + "…"


def settle(job: Job, size: int, gpus: float, offset: int, wait: float) -> Team:
    """A team of at most ``size``: smaller where the cluster or the task asks for it."""
    while True:
        try:
            began = time.monotonic()
            return Team(job, size, gpus, offset, wait)
        except Unplaced as error:
            if error.placed < 1 or size == 1:
                raise Lost(
                    f"no worker could be placed within {time.monotonic() - began:.0f} s"
                ) from error
            size = error.placed
