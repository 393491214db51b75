"""What a process must do before its first JAX computation, and what it then runs on."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("heliostat", "jax", "jaxlib", "numpy", "folx", "optax"),
    *("xarray", "zarr", "ray", "pyscf"),
)

BITS = ("jax", "jaxlib", "numpy", "folx", "optax", "pyscf")
"""Packages whose versions may change the bits of a row."""

GPU_FLAGS = (
    "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0 "
    "--xla_gpu_enable_triton_gemm=false"
)
"""Kernels that give the same bits each time, chosen without timing them: products by
Triton know no choice but a timed one, and do not compile then."""


_threads: int | None = None
"""Cores that XLA saw when this process settled, where it did."""


def claim(cores: Sequence[int] = (), gpus: float = 0) -> None:
    """Settle this process on its cores and platform; call before JAX computes.

    One process, one core: XLA's thread pool otherwise spreads over all of them, which
    is slower for several workers and can hang batched linear algebra on few cores.
    """
    global _threads
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
        _threads = len(set(cores))
    if gpus:
        flags = os.environ.get("XLA_FLAGS", "")
        if GPU_FLAGS not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {GPU_FLAGS}".strip()
        if gpus < 1:
            os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * gpus:.2f}")
    else:
        # Ray leaves all GPUs visible to an actor that asked for none
        os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    if not gpus:
        jax.config.update("jax_platforms", "cpu")
    remember_programs()


def narrow(gpus: float | None = None) -> None:
    """Settle this process as a worker is, unless its XLA has started already.

    XLA sizes its thread pool by the cores it is born with, and sums of wide arrays
    round differently with the pool: one thread, as a worker has, gives the same bits.

    Args:
        gpus: 0 is none; default all there are.
    """
    import jax
    from jax._src import xla_bridge  # JAX has no public word for it

    global _threads
    if xla_bridge.backends_are_initialized():
        return
    claim((), gpus_here() if gpus is None else gpus)
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed, _threads = os.sched_getaffinity(0), 1
    os.sched_setaffinity(0, {min(allowed)})
    try:
        jax.devices()
    finally:
        os.sched_setaffinity(0, allowed)


def gpus_here() -> int:
    """GPUs of this machine that JAX may compute on."""
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return 0
    return len([*Path("/dev").glob("nvidia[0-9]*")])


def confine(memory: float) -> None:
    """Let this process take so many bytes more than it has: then it fails, alone.

    Where the system does not tell how much it has (no /proc), nothing is confined.
    """
    import resource

    told = Path("/proc/self/statm")
    if not told.exists():
        return
    pages = int(told.read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + int(memory)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def remember_programs() -> None:
    """Keep compiled programs on disk, so that the second run starts at once."""
    import jax

    folder = os.environ.get("HELIOSTAT_CACHE") or Path.home() / ".cache" / "heliostat"
    jax.config.update("jax_compilation_cache_dir", str(Path(folder) / "programs"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@contextmanager
def remembering_on_every_rank() -> Iterator[None]:
    """While it is open, each process of a group keeps the programs it compiles.

    JAX lets only process 0 write to its cache, since on GPUs all share one program. On
    CPUs the cache's key tells processes apart, so the others would compile each time.
    """
    import jax
    from jax._src import distributed  # JAX has no public switch for it

    group = distributed.global_state
    rank = group.process_id
    if jax.default_backend() != "cpu":
        yield
        return
    group.process_id = 0
    try:
        yield
    finally:
        group.process_id = rank


def authenticate(on: str) -> None:
    """Settle Ray's authentication, which it reads once, when it is first imported.

    An embedded Ray gets a token of its own that lives as long as this process; a
    cluster is met with the token that the user keeps for it, if there is one.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_MODE" in os.environ or "ray" in sys.modules:
        return
    if on == "local":
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        return
    kept = (Path.home() / ".ray" / "auth_token").exists()
    given = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & set(os.environ)
    os.environ["RAY_AUTH_MODE"] = "token" if kept or given else "disabled"


def cores() -> list[int]:
    """The cores this process may use: a batch system may have given it few."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def spread(count: int, available: Sequence[int]) -> list[int]:
    """A core for each of ``count`` workers; they share when there are too few."""
    return [available[i % len(available)] for i in range(count)]


def provenance() -> dict[str, Any]:
    """Packages, commit, host and instruction set: what a result was computed with."""
    return {
        "packages": {p: v for p in PACKAGES if (v := _version(p))},
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "cpu": _cpu(),
        "command": " ".join(sys.argv[:1]),
        **_git(),
    }


@cache
def fingerprint() -> str:
    """Of what decides about bits, 16 digits: packages, instruction set, kind of GPU,
    the threads and flags of XLA."""
    parts = [f"{name} {_version(name)}" for name in BITS] + [_cpu()]
    parts += [str(_threads or len(cores())), os.environ.get("XLA_FLAGS", ""), _gpu()]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def changed(then: dict[str, Any]) -> str:
    """How this process differs from where a run began; empty where it does not.

    Example:
        >>> changed(provenance() | {"cpu": "abacus"}).startswith("cpu: abacus, now ")
        True
    """
    now = provenance()
    pairs = [
        (name, then.get("packages", {}).get(name), now["packages"].get(name))
        for name in PACKAGES
    ]
    pairs += [(name, then.get(name), now.get(name)) for name in ("cpu", "commit")]
    told = [f"{name}: {was}, now {is_}" for name, was, is_ in pairs if was != is_]
    if now.get("dirty"):
        told.append("the sources differ from their commit")
    return "; ".join(told)


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _cpu() -> str:
    """Model and widest vector extension: bits differ between instruction sets."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = [line.partition(":") for line in text.splitlines()]
    lines = {name.strip(): value.strip() for name, _, value in pairs}
    known = ("avx512f", "avx2", "avx", "sse4_2")
    widest = next((f for f in known if f in lines.get("flags", "").split()), "")
    return f"{lines.get('model name', platform.machine())} {widest}".strip()


def _gpu() -> str:
    """The kind of GPU that JAX computes on; empty where it computes on CPUs."""
    import jax

    device = jax.devices()[0]
    return "" if device.platform == "cpu" else str(device.device_kind)


@cache
def _git() -> dict[str, Any]:
    """Commit and dirty flag of the sources, where they are a git checkout."""
    import subprocess

    def git(*words: str) -> str:
        here = Path(__file__).resolve().parent
        done = subprocess.run(
            ["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return (
            {"commit": commit, "dirty": bool(git("status", "--porcelain"))}
            if commit
            else {}
        )
    except (OSError, subprocess.SubprocessError):
        return {}
