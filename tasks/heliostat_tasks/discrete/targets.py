"""The targets by name: a word of the command line becomes a density."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import heliostat as hs
from heliostat.kernels.discrete.densities import (
    curie_weiss,
    ebm,
    fhmm,
    independent,
    residual_network,
    sine_observations,
    sine_rbm,
)
from heliostat.kernels.discrete.lattices import erdos_renyi, ising, pairwise, potts
from heliostat.kernels.discrete.target import Target

if TYPE_CHECKING:
    from heliostat_tasks.discrete.task import Discrete


def target_of(task: Discrete) -> Target:
    """The density that a task's fields describe.

    Raises:
        ValueError: if they describe none.
    """
    if isinstance(task.target, hs.Code):
        return _users(task)
    return TARGETS[task.target](task)


def _ising(task: Discrete) -> Target:
    if task.couplings is None:
        return ising(task.size, task.coupling, task.field)
    j = read_matrix(task.couplings)
    return pairwise(task.coupling * j, task.field)


def _graph(task: Discrete) -> Target:
    j = erdos_renyi(task.size, task.degree, coupling=1.0)
    return pairwise(task.coupling * j, task.field)


def _network(task: Discrete) -> Target:
    import jax

    return ebm(residual_network(jax.random.key(0), task.size, task.hidden))


VALUES = {"potts": 3, "independent": 2}
"""Of a site, where none are given."""


def _potts(task: Discrete) -> Target:
    return potts(task.size, task.values or VALUES["potts"], task.coupling)


def _independent(task: Discrete) -> Target:
    values = task.values or VALUES["independent"]
    table = task.field * np.arange(values)[None] * np.ones((task.size, 1))
    return independent(table if values > 2 else table[:, 1])


TARGETS: dict[str, Callable[[Any], Target]] = {
    "ising": _ising,
    "potts": _potts,
    "random-graph": _graph,
    "rbm": lambda t: sine_rbm(t.size, t.hidden, t.scale),
    "fhmm": lambda t: fhmm(sine_observations(t.size, t.hidden)),
    "independent": _independent,
    "curie-weiss": lambda t: curie_weiss(t.size, t.coupling),
    "ebm": _network,
}


def _users(task: Discrete) -> Target:
    """A user's own: a function log p of one state, or a whole Target."""
    found: Any = hs.Code(task.target).load()
    if isinstance(found, Target):
        whole = f"log densities: the Target of {task.target} knows its own"
        hs.check_used(task, {"size": (False, whole), "values": (False, whole)})
        return found
    if not callable(found):
        raise ValueError(
            f"target {str(task.target)!r} is {type(found).__name__}: expected a "
            "function log p(x), or a heliostat.kernels.Target"
        )
    log_p: Any = found
    return Target(log_p, task.size, task.values or 2)


def read_matrix(given: hs.File | str) -> np.ndarray:
    """A matrix from a ``.npy`` file, or from text with a row per line.

    Raises:
        ValueError: if it is neither; nothing in a file is ever executed.
    """
    file = hs.File(given)
    try:
        if file.path.suffix == ".npy":
            return np.load(file.path, allow_pickle=False)
        return np.loadtxt(file.path, delimiter="," if _has_commas(file) else None)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{file}: expected .npy or rows of numbers: {reason}"
        ) from error


def _has_commas(file: hs.File) -> bool:
    return "," in file.path.read_text().partition("\n")[0]
