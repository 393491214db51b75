"""Target densities by name, and those that users write."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import numpy as np
from jaxtyping import Float

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
from heliostat.kernels.discrete.lattices import (
    as_field,
    erdos_renyi,
    ising,
    pairwise,
    potts,
)
from heliostat.kernels.discrete.target import Target
from heliostat_tasks.discrete.couplings import read_couplings

TargetName = Literal[
    "ising",
    "potts",
    "random-graph",
    "rbm",
    "fhmm",
    "independent",
    "curie-weiss",
    "ebm",
]
"""Names of the built-in targets."""

SiteField = float | Float[np.ndarray, " sites"]
"""h of every site alike, or one for each."""

COUPLING = 0.4
"""Default K of all targets but couplings from a file, which has its own numbers."""

VALUES = {"potts": 3, "independent": 2}
"""Default number of values of a site."""


def build_target(name: str, fields: Mapping[str, Any]) -> Target:
    """Build a target from the fields that its builder names.

    Args:
        name: name of a built-in target.
        fields: values by name; others are ignored.
    """
    build = TARGETS[name]
    return build(**{field: fields[field] for field in parameters(build)})


def parameters(build: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the fields that a builder reads."""
    return tuple(inspect.signature(build).parameters)


def load_density(code: hs.Code) -> Target | Callable[..., Any]:
    """Load a user's density: a function log p of one state, or a whole Target.

    Raises:
        ValueError: if the name stands for something else.
    """
    density: Any = code.load()
    if not isinstance(density, Target) and not callable(density):
        raise ValueError(
            f"target {str(code)!r} is {type(density).__name__}: expected a "
            "function log p(x), or a heliostat.kernels.Target"
        )
    return density


def _ising(
    size: int, coupling: float, field: SiteField, couplings: hs.File | None
) -> Target:
    if couplings is None:
        return ising(size, coupling, field)
    j, h = read_couplings(couplings)
    return pairwise(coupling * j, coupling * h + as_field(field, len(j)))


def _potts(size: int, values: int | None, coupling: float) -> Target:
    return potts(size, values or VALUES["potts"], coupling)


def _random_graph(
    size: int, degree: float, coupling: float, field: SiteField
) -> Target:
    return pairwise(coupling * erdos_renyi(size, degree, coupling=1.0), field)


def _fhmm(size: int, hidden: int) -> Target:
    return fhmm(sine_observations(size, hidden))


def _independent(size: int, values: int | None, field: SiteField) -> Target:
    values = values or VALUES["independent"]
    table = as_field(field, size)[:, None] * np.arange(values)[None]
    return independent(table if values > 2 else table[:, 1])


def _ebm(size: int, hidden: int) -> Target:
    return ebm(residual_network(jax.random.key(0), size, hidden))


TARGETS: dict[str, Callable[..., Target]] = {
    "ising": _ising,
    "potts": _potts,
    "random-graph": _random_graph,
    "rbm": lambda size, hidden, scale: sine_rbm(size, hidden, scale),
    "fhmm": _fhmm,
    "independent": _independent,
    "curie-weiss": lambda size, coupling: curie_weiss(size, coupling),
    "ebm": _ebm,
}
"""Builders by name; their parameters are the fields that they read."""
