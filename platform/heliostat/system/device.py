"""Cores, GPUs and memory of this process, to be set before JAX computes."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from heliostat.system import backend
from heliostat.system.compilation import enable_compilation_cache

GPU_FLAGS = (
    "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0 "
    "--xla_gpu_enable_triton_gemm=false"
)
"""Kernels that give the same bits each time, chosen without timing them. Triton chooses
its matrix products by timing only, and without that they do not compile."""


_xla_threads: int | None = None
"""Threads of XLA in this process, if this module has set them."""


def configure_process(cores: Sequence[int] = (), gpus: float = 0) -> None:
    """Pin this process to cores and choose its platform; call before JAX computes.

    Use one core for each process: otherwise XLA's thread pool spreads over all cores,
    which is slower for several workers and can hang batched linear algebra.

    Args:
        cores: ids of the cores; empty leaves the process where it is.
        gpus: share of GPUs for this process; 0 computes on the CPU.
    """
    global _xla_threads
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
        _xla_threads = len(set(cores))
    if gpus:
        flags = os.environ.get("XLA_FLAGS", "")
        if GPU_FLAGS not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {GPU_FLAGS}".strip()
        if gpus < 1:
            os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * gpus:.2f}")
    else:
        # Ray leaves all GPUs visible to an actor that requested none
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    if not gpus:
        jax.config.update("jax_platforms", "cpu")
    enable_compilation_cache()


def single_thread_xla(gpus: float | None = None) -> None:
    """Give XLA one thread, as a worker has, unless XLA has started already.

    XLA sizes its thread pool by the cores that it sees at its start. Sums of wide
    arrays round differently with another pool: one thread gives the bits of a worker.

    Args:
        gpus: share of GPUs; 0 computes on the CPU, None takes all GPUs.
    """
    import jax
    from jax._src import xla_bridge  # JAX has no public name for it

    global _xla_threads
    if xla_bridge.backends_are_initialized():
        return
    configure_process((), count_gpus() if gpus is None else gpus)
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed, _xla_threads = os.sched_getaffinity(0), 1
    os.sched_setaffinity(0, {min(allowed)})
    try:
        jax.devices()
    finally:
        os.sched_setaffinity(0, allowed)


def xla_threads() -> int:
    """Return the number of threads of XLA in this process."""
    return _xla_threads or backend.threads or len(cores())


def count_gpus() -> int:
    """Count the GPUs of this machine that JAX may compute on."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return 0
    return len([*Path("/dev").glob("nvidia[0-9]*")])


def limit_memory(memory: float) -> None:
    """Let this process allocate ``memory`` more bytes; beyond that, it alone fails.

    Without ``/proc`` the present size is unknown, and nothing is limited.
    """
    import resource

    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    pages = int(statm.read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + int(memory)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def authenticate_ray(on: str) -> None:
    """Set Ray's authentication; call before Ray is imported, which reads it once.

    An embedded Ray gets its own token, which ends with this process. A cluster gets the
    token that the user keeps for it, if there is one.

    Args:
        on: ``"local"`` for an embedded Ray, else a cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_MODE" in os.environ or "ray" in sys.modules:
        return
    if on == "local":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        return
    stored = (Path.home() / ".ray" / "auth_token").exists()
    in_environment = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    os.environ["RAY_AUTH_MODE"] = "token" if stored or in_environment else "disabled"


def cores() -> list[int]:
    """List the cores that this process may use; a batch system may allow only some."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def assign_cores(count: int, available: Sequence[int]) -> list[int]:
    """Assign a core to each of ``count`` workers; too few cores are shared."""
    return [available[i % len(available)] for i in range(count)]
