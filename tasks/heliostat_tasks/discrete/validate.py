"""What a task's fields must satisfy, each said in one line.

A field that nothing reads is refused too: it would make another run of the same draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs

if TYPE_CHECKING:
    from heliostat_tasks.discrete.task import Discrete

YOUR_OWN = "your own"

TARGETS_THAT_READ = {
    "coupling": ("ising", "potts", "random-graph", "curie-weiss"),
    "field": ("ising", "random-graph", "independent"),
    "values": ("potts", "independent", YOUR_OWN),
    "hidden": ("rbm", "fhmm", "ebm"),
    "scale": ("rbm",),
    "degree": ("random-graph",),
    "couplings": ("ising",),
}

SAMPLERS_THAT_READ = {
    "balancing": ("gwg", "multi", "path", "locally-balanced", "dmala", "dula"),
    "differences": ("gwg", "multi", "path", "dmala", "dula"),
    "longest": ("multi", "path", "hamming-ball"),
    "step_size": ("multi", "path", "dmala", "dula"),
}


def check(task: Discrete) -> None:
    """Refuse fields that make no sense, or no difference.

    Raises:
        ValueError: with what was given and what was expected.
    """
    _check_ranges(task)
    target = YOUR_OWN if isinstance(task.target, hs.Code) else task.target
    uses = {
        name: (target in readers, f"target {_either(readers)}")
        for name, readers in TARGETS_THAT_READ.items()
    }
    uses |= {
        name: (task.sampler in readers, f"sampler {_either(readers)}")
        for name, readers in SAMPLERS_THAT_READ.items()
    }
    uses["size"] = (task.couplings is None, "targets without a file of couplings")
    uses["hottest"] = (task.rungs > 1, "2 rungs or more")
    hs.check_used(task, uses)


def _check_ranges(task: Discrete) -> None:
    for name in ("size", "chains", "hidden", "longest", "rungs"):
        if getattr(task, name) < 1:
            raise ValueError(f"{name} {getattr(task, name)}: expected at least 1")
    if task.warmup < 0:
        raise ValueError(f"warmup {task.warmup}: expected 0 or more")
    if task.starts and (task.starts < 2 or task.chains % task.starts):
        raise ValueError(
            f"starts {task.starts}: expected 0, or 2 or more that divide the "
            f"{task.chains} chains"
        )
    if task.step_size is not None and not task.step_size > 0:
        raise ValueError(f"step_size {task.step_size}: expected more than 0")
    if not 0 <= task.lazy < 1:
        raise ValueError(f"lazy {task.lazy}: expected 0 to less than 1")
    if not 0 < task.hottest < 1:
        raise ValueError(f"hottest {task.hottest}: expected between 0 and 1")
    if task.values is not None and not 2 <= task.values <= 256:
        raise ValueError(f"values {task.values}: expected 2 to 256")


def _either(names: tuple[str, ...]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
