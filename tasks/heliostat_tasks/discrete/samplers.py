"""The samplers by name: a word of the command line becomes a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from heliostat.kernels.discrete.chain import Kernel, lazy
from heliostat.kernels.discrete.chromatic import chromatic
from heliostat.kernels.discrete.gibbs import (
    block_gibbs,
    random_scan_gibbs,
    random_scan_metropolis,
)
from heliostat.kernels.discrete.hamming_ball import hamming_ball
from heliostat.kernels.discrete.proposals import informed
from heliostat.kernels.discrete.target import Target
from heliostat.kernels.discrete.tempering import tempered

if TYPE_CHECKING:
    from heliostat_tasks.discrete.task import Discrete


def kernel_of(task: Discrete, target: Target) -> Kernel:
    """The sampler that a task's fields describe.

    Raises:
        ValueError: if it does not fit the target.
    """
    kernel = SAMPLERS[task.sampler](task, target)
    if task.rungs > 1:
        betas = np.geomspace(1.0, task.hottest, task.rungs)
        kernel = tempered(kernel, target, betas)
    return lazy(kernel, task.lazy) if task.lazy else kernel


def _informed(**fixed: Any) -> Callable[[Any, Target], Kernel]:
    def build(task: Discrete, target: Target) -> Kernel:
        free = {"balancing", "differences"} - fixed.keys()
        options: dict[str, Any] = {name: getattr(task, name) for name in free}
        if fixed.get("moves") in ("multi", "path"):
            options["longest"] = min(task.longest, target.sites)
        return informed(target, **(options | fixed))

    return build


def _ball(task: Discrete, target: Target) -> Kernel:
    return hamming_ball(target, min(task.longest, target.sites), 1)


SAMPLERS: dict[str, Callable[[Any, Target], Kernel]] = {
    "gwg": _informed(),
    "multi": _informed(moves="multi"),
    "path": _informed(moves="path"),
    "locally-balanced": _informed(differences="exact"),
    "dmala": _informed(moves="factorised"),
    "dula": _informed(moves="factorised", adjusted=False),
    "gibbs": lambda task, target: random_scan_gibbs(target),
    "metropolis": lambda task, target: random_scan_metropolis(target),
    "chromatic": lambda task, target: chromatic(target),
    "block": lambda task, target: block_gibbs(target),
    "hamming-ball": _ball,
}
