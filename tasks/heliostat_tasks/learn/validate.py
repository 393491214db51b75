"""What a task's fields must satisfy, each said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs

if TYPE_CHECKING:
    from heliostat_tasks.learn.task import Learn

AT_LEAST = {
    "size": 3,
    "samples": 2,
    "features": 1,
    "blocks": 1,
    "batch": 1,
    "moves": 1,
    "longest": 1,
    "particles": 2,
    "q": 3,
    "train": 0,
    "warmup": 0,
    "evaluate": 0,
    "settle": 0,
    "data_seed": 0,
}


def check(task: Learn) -> None:
    """Refuse fields that make no sense.

    Raises:
        ValueError: with what was given and what was expected.
    """
    for name, least in AT_LEAST.items():
        if not getattr(task, name) >= least:
            raise ValueError(f"{name} {getattr(task, name)}: expected {least} or more")
    if not task.penalty >= 0:
        raise ValueError(f"l1 {task.penalty}: expected 0 or more")
    if not 0 <= task.decay <= 1:
        raise ValueError(f"decay {task.decay}: expected a share, 0 to 1")
    if not 0 <= task.ema < 1:
        raise ValueError(f"ema {task.ema}: expected 0 to less than 1")
    if not task.lr > 0:
        raise ValueError(f"lr {task.lr}: expected more than 0")
    if task.q > 256:
        raise ValueError(f"q {task.q}: expected 3 to 256 values")
    _check_chains(task)
    _check_pass(task)
    if task.test is not None and task.data is None:
        raise ValueError("test is the held-out part of data: give data too")
    _check_uses(task)


def _check_chains(task: Learn) -> None:
    if task.batch > task.buffer:
        raise ValueError(
            f"batch {task.batch} is drawn from a buffer of {task.buffer}: expected at "
            "most as many"
        )
    if task.buffer % task.batch:
        raise ValueError(
            f"buffer {task.buffer}: expected a multiple of batch, {task.batch}"
        )


def _check_pass(task: Learn) -> None:
    if not task.evaluate:
        return
    if task.temperatures < 1 or task.temperatures % task.evaluate:
        raise ValueError(
            f"temperatures {task.temperatures}: expected a multiple of evaluate, "
            f"{task.evaluate}: a step takes as many as the next"
        )
    if task.particles > task.buffer:
        raise ValueError(
            f"particles {task.particles}: expected at most {task.buffer}, the buffer "
            "that they begin in"
        )


def _check_uses(task: Learn) -> None:
    """A field that nothing reads would make another run of the same numbers."""
    drawn = task.data is None and task.model != "ebm"
    of_lattices = ("size", "coupling", "samples", "data_seed")
    of_networks, of_passes = ("features", "blocks"), ("temperatures", "particles")
    lattice = (drawn, "data drawn from a lattice, model ising or potts")
    network = (task.model == "ebm", "model ebm")
    passes = (task.evaluate > 0, "a pass of annealing, evaluate 1 or more")
    single = {
        "q": (task.model == "potts", "model potts"),
        "l1": (task.model != "ebm", "couplings, model ising or potts"),
        "longest": (task.sampler == "path", "sampler path"),
    }
    hs.check_used(
        task,
        dict.fromkeys(of_lattices, lattice)
        | dict.fromkeys(of_networks, network)
        | dict.fromkeys((*of_passes, "settle"), passes)
        | single,
    )
