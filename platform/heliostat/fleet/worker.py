"""One process of a team: owns a core or GPUs, and holds what it has advanced."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple


class Seat(NamedTuple):
    """A worker's place in its team."""

    rank: int
    size: int
    cores: tuple[int, ...]  # none for a worker that has GPUs
    coordinator: str  # "address:port" of rank 0; "" in a team of one


class Worker:
    """Advances spans by strides; every call may be repeated without harm.

    The constructor imports nothing heavy: JAX must not be imported before the worker
    knows its core and its platform.
    """

    def __init__(self, gpus: float) -> None:
        self.gpus = gpus
        self.seat: Seat | None = None
        self.loop: Any = None
        self.layout = ""
        self.positions: dict[int, Any] = {}  # span index -> Cursor
        self.made: tuple[Any, ...] = ()  # what the loop was made of

    def where(self) -> dict[str, Any]:
        """The node, its address, the cores allowed here, and a port that is free."""
        import ray

        from heliostat.system.device import cores
        from heliostat.system.process import own

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
            "process": own(),
            "gpus": context.get_accelerator_ids().get("GPU", []),
        }

    def join(
        self,
        seat: Seat,
        task: bytes,
        seed: int,
        x64: bool,
        fresh: bool,
        memory: float | None = None,
    ) -> str:
        """Settle on the seat, join the team's mesh and compile; say the layout.

        ``task`` is pickled apart, since unpickling it may import JAX.
        """
        from heliostat.system.device import claim, confine, remembering_on_every_rank

        claim(seat.cores, self.gpus)
        if memory and not self.gpus:  # CUDA reserves far more than it takes
            confine(memory)
        import jax
        from ray.cloudpickle import cloudpickle

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
        from heliostat.loop.run import Loop, mesh_of

        many = f" in {seat.size} processes" if seat.size > 1 else ""
        self.seat, self.positions = seat, {}
        if self.made != (task, x64, fresh):  # else only the seed is another one
            self.made = ()
            self.loop = Loop(cloudpickle.loads(task), seed, mesh_of(jax.devices()))
            with remembering_on_every_rank():
                self.loop.compile(fresh)
            self.made = (task, x64, fresh)
        self.loop.reseed(seed)
        self.layout = self.loop.layout + many
        return self.layout

    def advance(
        self, index: int, span: Any, until: int, fresh: bool, strides: int
    ) -> Any:
        """The next chunk of a span, up to ``until``; only rank 0 returns it.

        ``fresh`` says that the span's own state is to be taken instead of what this
        worker still holds of it.
        """
        position = self.loop.seek(span) if fresh else self.positions.pop(index)
        chunk, position = self.loop.next_chunk(position, strides, min(span.stop, until))
        if position.step < span.stop:
            self.positions[index] = position  # of a finished span nobody wants it
        assert self.seat is not None
        return None if self.seat.rank else chunk._replace(layout=self.layout)
