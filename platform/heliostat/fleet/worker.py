"""The actor: one process of a team, with its cores or GPUs and the blocks it holds."""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple


class Rank(NamedTuple):
    """Rank of a worker in its team."""

    process_id: int
    size: int
    cores: tuple[int, ...]  # empty for a worker that has GPUs
    coordinator: str  # "address:port" of rank 0; "" in a team of one


class Worker:
    """Worker that advances spans by strides; every call may be repeated without harm.

    The constructor imports nothing heavy: JAX must not be imported before the worker
    knows its core and its platform.
    """

    def __init__(self, gpus: float) -> None:
        self.gpus = gpus
        self.rank: Rank | None = None
        self.loop: Any = None
        self.layout = ""
        self.cursors: dict[int, Any] = {}  # span index -> Cursor
        self.compiled_for: tuple[Any, ...] = ()  # (task, x64, with_init) of the loop

    def describe_node(self) -> dict[str, Any]:
        """Return the node, its address, the cores of this process and a free port."""
        import ray

        from heliostat.system.device import cores
        from heliostat.system.process import this_process

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
            "process": this_process(),
            "gpus": context.get_accelerator_ids().get("GPU", []),
        }

    def join(
        self,
        rank: Rank,
        task: bytes,
        seed: int,
        x64: bool,
        with_init: bool,
        memory: float | None = None,
    ) -> str:
        """Configure this process for its rank, join the mesh, compile the task.

        Args:
            rank: cores and peers of this worker.
            task: the pickled task; it is unpickled here, because that may import JAX.
            seed: the seed of the run.
            x64: compute in float64.
            with_init: compile ``init`` too, because some span starts from it.
            memory: bytes that a CPU worker may take beyond those of its start.

        Returns:
            The layout, as it is written beside each chunk.
        """
        from heliostat.system.compilation import cache_on_every_rank
        from heliostat.system.device import configure_process, limit_memory

        configure_process(rank.cores, self.gpus)
        if memory and not self.gpus:  # CUDA reserves far more than it takes
            limit_memory(memory)
        import jax

        from heliostat.fleet.pickles import unpickle_task

        jax.config.update("jax_enable_x64", x64)
        if rank.size > 1:
            _join_mesh(rank)
        from heliostat.loop.run import Loop, mesh_of

        processes = f" in {rank.size} processes" if rank.size > 1 else ""
        self.rank, self.cursors = rank, {}
        purpose = task, x64, with_init
        if self.compiled_for != purpose:  # another seed alone needs no compilation
            self.compiled_for = ()
            self.loop = Loop(unpickle_task(task), seed, mesh_of(jax.devices()))
            with cache_on_every_rank():
                self.loop.compile(with_init)
            self.compiled_for = purpose
        self.loop.reseed(seed)
        self.layout = self.loop.layout + processes
        return self.layout

    def advance(
        self, index: int, span: Any, until: int, reload: bool, strides: int
    ) -> Any:
        """Compute the next chunk of a span, up to ``until``; only rank 0 returns it.

        Args:
            index: index of the span in the job.
            span: the rest of the span.
            until: last step at the latest.
            reload: start from the state of the span; else from the state that this
                worker holds.
            strides: strides of the chunk at the most.
        """
        cursor = self.loop.seek(span) if reload else self.cursors.pop(index)
        chunk, cursor = self.loop.next_chunk(cursor, strides, min(span.stop, until))
        if cursor.step < span.stop:
            self.cursors[index] = cursor  # the end of a span needs no cursor
        assert self.rank is not None
        return None if self.rank.process_id else chunk._replace(layout=self.layout)


def _join_mesh(rank: Rank) -> None:
    """Connect this process with the other workers of its team."""
    import jax

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
