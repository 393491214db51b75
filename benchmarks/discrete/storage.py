"""Memory of 65,536 stored chains

A whole run from the command line, on Ray and all cores, with its rows stored.  Memory
is that of all its processes together, pages that they share counted once, looked at ten
times a second."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from measure import table

HZ = 10
LIMIT = 4.0  # GiB


def report(quick: bool) -> None:
    chains, steps, warmup = (1024, 20, 10) if quick else (65536, 100, 50)
    with tempfile.TemporaryDirectory() as store:
        argv = "run discrete --target ising --size 10 --coupling 0.4"
        argv += f" --chains {chains} --steps {steps} --warmup {warmup} --store {store}"
        peak, elapsed = peak_memory([str(command()), *argv.split()])
        files = [f for f in Path(store).rglob("*") if f.is_file()]
        stored = sum(f.stat().st_size for f in files) / 2**20
    columns = ("chains", "steps", "peak GiB", "limit GiB", "wall s", "stored MiB")
    row = [f"{chains:,}", steps, peak / 2**30, LIMIT, elapsed, stored]
    table(columns, [row])


def command() -> Path:
    return Path(sys.executable).parent / "heliostat"


def peak_memory(argv: list[str]) -> tuple[int, float]:
    """Peak bytes of a command's processes, and the seconds it took.

    Raises:
        RuntimeError: if it fails.
    """
    from __main__ import CORES

    began = time.perf_counter()
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(argv, env=plain_environment(), **options)
    os.sched_setaffinity(process.pid, CORES)  # this process has one core only
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.extend(process.stdout or ()))
    reader.start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(proportional, tree(process.pid))))
        time.sleep(1 / HZ)
    reader.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{''.join(output)}")
    return peak, time.perf_counter() - began


def plain_environment() -> dict[str, str]:
    """The environment without what this process set for itself."""
    return {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}


def tree(root: int) -> Iterator[int]:
    """A process and all its descendants."""
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone meanwhile
            continue
        children[int(fields[1])].append(int(stat.parent.name))
    pids = [root]
    while pids:
        pid = pids.pop()
        yield pid
        pids += children[pid]


def proportional(pid: int) -> int:
    """Bytes of a process, each page divided among those that share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line[:4] == "Pss:")
