"""Samplers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from heliostat.kernels.discrete.chain import MarkovKernel, lazy
from heliostat.kernels.discrete.chromatic import chromatic
from heliostat.kernels.discrete.gibbs import (
    block_gibbs,
    random_scan_gibbs,
    random_scan_metropolis,
)
from heliostat.kernels.discrete.hamming_ball import hamming_ball
from heliostat.kernels.discrete.kawasaki import kawasaki
from heliostat.kernels.discrete.proposals import informed
from heliostat.kernels.discrete.target import Target
from heliostat.kernels.discrete.tempering import tempered
from heliostat_tasks.discrete.targets import parameters

SamplerName = Literal[
    "gwg",
    "multi",
    "path",
    "locally-balanced",
    "dmala",
    "dula",
    "gibbs",
    "metropolis",
    "chromatic",
    "block",
    "hamming-ball",
    "kawasaki",
]
"""Names of the samplers."""


def build_kernel(name: str, target: Target, fields: Mapping[str, Any]) -> MarkovKernel:
    """Build a sampler of a target from the fields that its builder names.

    Args:
        name: name of the sampler.
        target: density to sample.
        fields: values by name; ``rungs``, ``hottest`` and ``lazy`` are read for every
            sampler.

    Raises:
        ValueError: if the sampler does not fit the target.
    """
    build = SAMPLERS[name]
    read = [field for field in parameters(build) if field != "target"]
    kernel = build(target, **{field: fields[field] for field in read})
    if fields["rungs"] > 1:
        betas = np.geomspace(1.0, fields["hottest"], fields["rungs"])
        kernel = tempered(kernel, target, betas)
    return lazy(kernel, fields["lazy"]) if fields["lazy"] else kernel


def _multi(
    target: Target, balancing: Any, differences: Any, longest: int
) -> MarkovKernel:
    longest = min(longest, target.sites)
    return informed(target, balancing, differences, "multi", longest)


def _path(
    target: Target, balancing: Any, differences: Any, longest: int
) -> MarkovKernel:
    longest = min(longest, target.sites)
    return informed(target, balancing, differences, "path", longest)


def _dmala(target: Target, balancing: Any, differences: Any) -> MarkovKernel:
    return informed(target, balancing, differences, "factorised")


def _dula(target: Target, balancing: Any, differences: Any) -> MarkovKernel:
    return informed(target, balancing, differences, "factorised", adjusted=False)


def _hamming_ball(target: Target, longest: int) -> MarkovKernel:
    return hamming_ball(target, min(longest, target.sites), 1)


SAMPLERS: dict[str, Callable[..., MarkovKernel]] = {
    "gwg": lambda target, balancing, differences: informed(
        target, balancing, differences
    ),
    "multi": _multi,
    "path": _path,
    "locally-balanced": lambda target, balancing: informed(target, balancing, "exact"),
    "dmala": _dmala,
    "dula": _dula,
    "gibbs": lambda target: random_scan_gibbs(target),
    "metropolis": lambda target: random_scan_metropolis(target),
    "chromatic": lambda target: chromatic(target),
    "block": lambda target: block_gibbs(target),
    "hamming-ball": _hamming_ball,
    "kawasaki": lambda target: kawasaki(target),
}
"""Builders by name; their parameters are the target and the fields that they read."""
