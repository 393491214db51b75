"""One process of a team: owns a core or GPUs, and holds the blocks it has advanced."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple


class Seat(NamedTuple):
    """A worker's place in its team."""

    rank: int
    size: int
    core: int | None
    coordinator: str  # "address:port" of rank 0; "" in a team of one


class Worker:
    """Advances blocks by strides; every call may be repeated without harm.

    The constructor imports nothing heavy: JAX must not be imported before the worker
    knows its core and its platform.
    """

    def __init__(self, gpus: float) -> None:
        self.gpus = gpus
        self.seat: Seat | None = None
        self.loop: Any = None
        self.positions: dict[int, Any] = {}

    def where(self) -> dict[str, Any]:
        """The node, its address, the cores allowed here, and a port that is free."""
        import ray

        from heliostat.device import cores

        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        context = ray.get_runtime_context()
        return {
            "node": context.get_node_id(),
            "address": ray.util.get_node_ip_address(),
            "cores": cores(),
            "port": port,
            "pid": os.getpid(),
        }

    def join(self, seat: Seat, task: bytes, seed: int, x64: bool) -> str:
        """Settle on the seat, join the team's mesh, compile nothing yet.

        ``task`` is pickled apart, since unpickling it may import JAX.
        """
        from heliostat.device import claim

        claim(seat.core, self.gpus)
        import jax
        from ray import cloudpickle

        jax.config.update("jax_enable_x64", x64)
        if seat.size > 1:
            host = seat.coordinator.rpartition(":")[0]
            jax.distributed.initialize(
                seat.coordinator,
                seat.size,
                seat.rank,
                coordinator_bind_address=seat.coordinator if host else None,
                cluster_detection_method="deactivate",
                heartbeat_timeout_seconds=30,
                initialization_timeout=60,
            )
        from heliostat.unfold import Loop, mesh_of

        self.seat = seat
        self.loop = Loop(cloudpickle.loads(task), seed, mesh_of(jax.devices()))
        return f"{self.loop.layout}, {seat.size} worker{'s' if seat.size > 1 else ''}"

    def advance(
        self, block: int, step: int, state: Any, fresh: bool, strides: int, until: int
    ) -> Any:
        """The next chunk of a block; only rank 0 returns it.

        ``fresh`` says that ``state`` is to be taken (None: ``init``) instead of what
        this worker still holds of the block.
        """
        if fresh:
            self.positions[block] = self.loop.place(block, step, state)
        position = self.positions.pop(block)
        chunk, self.positions[block] = self.loop.chunk(position, strides, until)
        assert self.seat is not None
        if self.seat.rank:
            return None
        many = f", {self.seat.size} workers" if self.seat.size > 1 else ""
        return chunk._replace(layout=chunk.layout + many)
