"""Software and hardware that a result was computed with."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from heliostat.system import device

PACKAGES = (
    *("heliostat", "jax", "jaxlib", "numpy", "folx", "optax"),
    *("xarray", "zarr", "ray", "pyscf"),
)

BITS = ("jax", "jaxlib", "numpy", "folx", "optax", "pyscf")
"""Packages whose versions may change the bits of a row."""


def provenance() -> dict[str, Any]:
    """Describe packages, commit, host and instruction set of this process."""
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
    """Hash everything that decides about bits to 16 digits: packages, instruction set,
    kind of GPU, threads and flags of XLA, and whether it optimises."""
    import jax

    parts = [f"{name} {_version(name)}" for name in BITS] + [_cpu()]
    parts += [str(device.xla_threads()), os.environ.get("XLA_FLAGS", ""), _gpu()]
    parts += ["unoptimised"] * jax.config.read("jax_disable_most_optimizations")
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def differences(stored: dict[str, Any]) -> str:
    """Describe how this process differs from a stored :func:`provenance`.

    Returns:
        One line; empty if nothing differs.

    Example:
        >>> stored = provenance() | {"cpu": "abacus"}
        >>> differences(stored).startswith("cpu: abacus, now ")
        True
    """
    now = provenance()
    pairs = [
        (name, stored.get("packages", {}).get(name), now["packages"].get(name))
        for name in PACKAGES
    ]
    pairs += [(name, stored.get(name), now.get(name)) for name in ("cpu", "commit")]
    lines = [f"{name}: {old}, now {new}" for name, old, new in pairs if old != new]
    if now.get("dirty"):
        lines.append("the sources differ from their commit")
    return "; ".join(lines)


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _cpu() -> str:
    """Return model and widest vector extension: bits differ between both."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = [line.partition(":") for line in text.splitlines()]
    lines = {name.strip(): value.strip() for name, _, value in pairs}
    extensions = ("avx512f", "avx2", "avx", "sse4_2")
    flags = lines.get("flags", "").split()
    widest = next((name for name in extensions if name in flags), "")
    return f"{lines.get('model name', platform.machine())} {widest}".strip()


def _gpu() -> str:
    """Return the kind of GPU that JAX computes on; empty on CPUs."""
    import jax

    gpu = jax.devices()[0]
    return "" if gpu.platform == "cpu" else str(gpu.device_kind)


@cache
def _git() -> dict[str, Any]:
    """Return commit and dirty flag of the sources, if they are a git checkout."""
    try:
        return git_state(Path(__file__).resolve())
    except (OSError, subprocess.SubprocessError):
        return {}


def git_state(source: Path) -> dict[str, Any]:
    """Return the commit of a source's checkout, and whether tracked sources differ.

    Args:
        source: a file of the sources.

    Returns:
        ``commit`` and ``dirty``; nothing if git does not track the file.
    """
    if not _git_output(source.parent, "ls-files", source.name):
        return {}
    sources = ("--untracked-files=no", "--", ":(top)*.py", ":(top,exclude)tests")
    return {
        "commit": _git_output(source.parent, "rev-parse", "HEAD"),
        "dirty": bool(_git_output(source.parent, "status", "--porcelain", *sources)),
    }


def _git_output(folder: Path, *args: str) -> str:
    command = ["git", "-C", str(folder), *args]
    process = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return process.stdout.strip() if process.returncode == 0 else ""
