"""Trial of a density and its sampler at some states, before a run.

A run that cannot move, or that moves blindly, is refused in one line, which names what
works instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

import heliostat as hs
from heliostat.kernels.discrete.chain import MarkovKernel
from heliostat.kernels.discrete.target import Target, exact_gains, value_and_gains
from heliostat.kernels.discrete.validate import check_target
from heliostat_tasks.discrete.samplers import SAMPLERS
from heliostat_tasks.discrete.targets import parameters

TRIED = 64
"""Random states at which a target is evaluated."""

LOOKED_AROUND = 8
"""Most possible states of which all single changes are evaluated."""

SINGLE = "gwg multi path locally-balanced gibbs metropolis chromatic".split()
"""Samplers that need a way of possible states one change apart; the radius
of two among them adapts to a single change where all else is rejected."""

REMEDY = (
    "expected a start that is possible: give one with --begin-at FILE (begin_at), a "
    "state as numbers"
)


def check_model(
    target: Target,
    kernel: MarkovKernel,
    start: UInt8[np.ndarray, " sites"] | None,
    fields: Mapping[str, Any],
) -> None:
    """Evaluate a target at its start, or at random states, and try its sampler.

    Args:
        target: density to sample.
        kernel: its sampler.
        start: start of all chains; None is a random one for each.
        fields: fields of the task, by name.

    Raises:
        ValueError: if the target or the sampler fails there, or does not fit.
    """
    states = random_states(target) if start is None else start[None]
    logs = check_target(target, states, REMEDY)
    jax.eval_shape(kernel.init, states[0])
    possible = states[np.isfinite(logs)]
    if fields["sampler"] == "kawasaki" and start is None:
        _check_one_sum(target, possible)
    if isinstance(fields["target"], hs.Code):
        if fields["sampler"] in SINGLE and fields["step_size"] is None:
            _check_moves(target, possible, fields["sampler"])
        _check_gradient(target, fields)


def random_states(target: Target) -> UInt8[np.ndarray, "n sites"]:
    """Draw the states at which a target is tried."""
    rng = np.random.default_rng(0)
    shape = (TRIED, target.sites)
    return rng.integers(0, target.values, shape).astype(np.uint8)


def _check_one_sum(target: Target, possible: UInt8[np.ndarray, "n sites"]) -> None:
    """Refuse random starts between which no exchange of sites leads."""
    counts = [np.sum(possible == k, axis=1) for k in range(target.values)]
    if len(np.unique(np.stack(counts, 1), axis=0)) > 1:
        raise ValueError(
            "sampler kawasaki exchanges sites, so each random start would keep its own "
            "sum: give one start with --begin-at FILE (begin_at)"
        )


def _check_moves(
    target: Target, possible: UInt8[np.ndarray, "n sites"], sampler: str
) -> None:
    """Refuse single changes where none leads from a possible state to another."""
    around = jax.lax.map(lambda x: exact_gains(target, x), possible[:LOOKED_AROUND])
    if np.isneginf(around).all():
        raise ValueError(
            "every single change of a possible state is impossible, so sampler "
            f"{sampler} cannot move: --sampler kawasaki exchanges two sites (fixed "
            "sums), hamming-ball changes two"
        )


def _check_gradient(target: Target, fields: Mapping[str, Any]) -> None:
    """Refuse Taylor's gains where log p changes but its gradient is 0 everywhere."""
    if not reads_gradient(fields):
        return
    logs, gains = jax.vmap(lambda x: value_and_gains(target, x))(random_states(target))
    if is_blind(np.asarray(logs), np.asarray(gains)):
        raise ValueError(
            "the gradient of log p is 0 or NaN at all states tried, though log p "
            f"changes (a table, whole numbers?), so sampler {fields['sampler']} is "
            "blind: give --differences exact, or --sampler gibbs"
        )


def reads_gradient(fields: Mapping[str, Any]) -> bool:
    """Return True if the sampler's proposals follow the gradient of log p."""
    informed = "differences" in parameters(SAMPLERS[fields["sampler"]])
    return informed and fields["differences"] == "taylor"


def is_blind(
    logs: Float[np.ndarray, " n"], gains: Float[np.ndarray, "n sites moves"]
) -> bool:
    """Return True if possible states differ in log p, and no gain tells them apart.

    Example:
        >>> is_blind(np.array([0.0, 1.0]), np.zeros((2, 3, 1)))
        True
    """
    possible: Bool[np.ndarray, " n"] = np.isfinite(logs)
    if not possible.any() or np.ptp(logs[possible]) == 0:
        return False
    return not np.nan_to_num(gains[possible]).any()
