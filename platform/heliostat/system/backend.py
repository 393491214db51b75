"""Start of JAX in a process that only drives, for the constants of a user's file."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

threads: int | None = None
"""Threads of XLA in this process, if JAX has started in :func:`started_on_cpu`."""


@contextmanager
def started_on_cpu() -> Generator[None]:
    """Let JAX start on the CPU with one thread, if it starts meanwhile.

    A process that only drives must not take a GPU.  JAX is imported by name, because
    programs that never execute a user's file do without it.
    """
    global threads
    jax: Any = import_module("jax")
    bridge: Any = import_module("jax._src.xla_bridge")
    if bridge.backends_are_initialized():
        yield
        return
    platforms = jax.config.values["jax_platforms"]
    pins = hasattr(os, "sched_setaffinity")
    allowed = os.sched_getaffinity(0) if pins else set[int]()
    jax.config.update("jax_platforms", "cpu")
    if pins:
        os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        if pins:
            os.sched_setaffinity(0, allowed)
        jax.config.update("jax_platforms", platforms)
        if pins and bridge.backends_are_initialized():
            threads = 1
