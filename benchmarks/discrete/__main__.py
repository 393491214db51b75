"""Yield, cost and savings of the samplers of discrete states, in six tables.

    python benchmarks/discrete                    # all, up to 20 minutes
    python benchmarks/discrete --quick            # tiny, to see that it runs
    python benchmarks/discrete --only 2,3

    1  effective samples of every sampler on every target
    2  Gibbs-with-gradients: gains carried along, against evaluated anew at each step
    3  many steps and chains in one program, against a dispatch per step
    4  an RBM of 784 visible units, against DiscreteHMCGibbs of NumPyro
    5  checkerboard flips per nanosecond
    6  memory of 65,536 stored chains

Parts 1 to 5 run on one core, which this process is pinned to before JAX starts, in
float32.  What is compared takes turns, A B A B …, and medians count; every timing ends
with ``block_until_ready``.  Compiling and warming up are timed by themselves.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

CORES = os.sched_getaffinity(0)
PARTS = {
    1: "efficiency",
    2: "caching",
    3: "dispatch",
    4: "peers",
    5: "flips",
    6: "storage",
}


def pin_to_one_core() -> None:
    """Restrict the process to one core and no GPU, before XLA counts either."""
    os.sched_setaffinity(0, {min(CORES)})
    os.environ["JAX_PLATFORMS"] = "cpu"


def machine() -> str:
    """The processor's own name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"{names[0] if names else 'unknown processor'}, {len(CORES)} cores"


def header() -> str:
    from importlib.metadata import version

    import jax

    python = ".".join(map(str, sys.version_info[:3]))
    return (
        f"{machine()}; this process pinned to one, load {os.getloadavg()[0]:.1f}"
        f"\nPython {python}, jax {jax.__version__}, heliostat {version('heliostat')}; "
        f"float32, {jax.default_backend()}"
    )


def part_numbers(text: str) -> list[int]:
    """Numbers of parts, from ``2,3``."""
    numbers = [int(word) for word in text.split(",")]
    if unknown := set(numbers) - set(PARTS):
        raise ValueError(f"no part {min(unknown)}: expected 1 to {max(PARTS)}")
    return numbers


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument(
        "--only", type=part_numbers, default=list(PARTS), help="such as 2,3"
    )
    args = parser.parse_args()
    pin_to_one_core()
    print(header(), flush=True)
    for part in args.only:
        began = time.perf_counter()
        module = importlib.import_module(PARTS[part])
        print(f"\n{part}. {module.__doc__.strip()}\n", flush=True)
        module.report(args.quick)
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
