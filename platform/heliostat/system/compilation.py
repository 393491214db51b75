"""Compiled programs on disk, for later processes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from heliostat.system.cache import PROGRAMS, cache_folder


def enable_compilation_cache() -> None:
    """Keep compiled programs on disk, so that the second run starts at once."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / PROGRAMS))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@contextmanager
def cache_on_every_rank() -> Generator[None]:
    """Let each process of a team write its compiled programs to the cache.

    JAX lets only process 0 write, because on GPUs all processes share one program. On
    CPUs the cache's key differs between processes, so the others would compile again
    each time.
    """
    import jax
    from jax._src import distributed  # JAX has no public switch for it

    state = distributed.global_state
    rank = state.process_id
    if jax.default_backend() != "cpu":
        yield
        return
    state.process_id = 0
    try:
        yield
    finally:
        state.process_id = rank
