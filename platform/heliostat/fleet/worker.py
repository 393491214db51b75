"""One process of a team: owns a core or GPUs, and holds what it has advanced."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple


class Rank(NamedTuple):
    """A worker's place in its team."""

    process_id: int
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
        self.rank: Rank | None = None
        self.loop: Any = None
        self.layout = ""
        self.cursors: dict[int, Any] = {}  # span index -> Cursor
        self.compiled_for: tuple[Any, ...] = ()  # what the loop was made of

    def describe_node(self) -> dict[str, Any]:
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
        rank: Rank,
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

        claim(rank.cores, self.gpus)
        if memory and not self.gpus:  # CUDA reserves far more than it takes
            confine(memory)
        import jax
        from ray.cloudpickle import cloudpickle

        jax.config.update("jax_enable_x64", x64)
        if rank.size > 1:
            host = rank.coordinator.rpartition(":")[0]
            jax.distributed.initialize(
                rank.coordinator,
                rank.size,
                rank.process_id,
                coordinator_bind_address=rank.coordinator if host else None,
                cluster_detection_method="deactivate",
                heartbeat_timeout_seconds=30,
                initialization_timeout=60,
            )
        from heliostat.loop.run import Loop, mesh_of

        many = f" in {rank.size} processes" if rank.size > 1 else ""
        self.rank, self.cursors = rank, {}
        if self.compiled_for != (task, x64, fresh):  # else only the seed is another one
            self.compiled_for = ()
            self.loop = Loop(cloudpickle.loads(task), seed, mesh_of(jax.devices()))
            with remembering_on_every_rank():
                self.loop.compile(fresh)
            self.compiled_for = (task, x64, fresh)
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
        cursor = self.loop.seek(span) if fresh else self.cursors.pop(index)
        chunk, cursor = self.loop.next_chunk(cursor, strides, min(span.stop, until))
        if cursor.step < span.stop:
            self.cursors[index] = cursor  # of a finished span nobody wants it
        assert self.rank is not None
        return None if self.rank.process_id else chunk._replace(layout=self.layout)
