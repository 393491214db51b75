"""Distance of a replay from the claim, in units of the training's own movement.

    r = ‖W' − W_i‖ / max(‖W_i − W_{i−1}‖, τ ‖W_i‖)

of each tensor, and of all weights together. It is relative, because an absolute limit
would pass small dishonest steps, and per tensor, because a change of one tensor would
drown in a global norm.

Moments are also measured by their effect. Second moments span many orders of magnitude:
zeroing the least of them hardly changes the norm of their tensor, and moves their
weights at will in the next step. So, with s = √ν + 1e-8 of Adam::

    update.w = ‖μ'/s' − μ/s‖ / ‖μ/s‖         scale.w = max |s' − s| / min(s', s)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped

FLOOR = 1e-6
"""τ: the least movement that a distance is measured in, as a share of the tensor."""

ADAM_EPSILON = 1e-8
"""Adam adds it to the root of its second moments."""

Tensors = Mapping[str, Shaped[np.ndarray, "..."]]
"""A state by the names of its tensors."""


class Movement(NamedTuple):
    """Movement of each tensor over a segment."""

    lengths: dict[str, float]  # ‖W_i − W_{i−1}‖
    sizes: dict[str, float]  # ‖W_i‖
    total: float  # ‖W_i − W_{i−1}‖ of all weights together


def movement(before: Tensors, after: Tensors) -> Movement:
    """Measure how far a segment moved each tensor.

    Args:
        before: the state at its start.
        after: the state at its end.
    """
    names = _names(after)
    moves = {n: after[n].astype(float) - before[n].astype(float) for n in names}
    lengths = {n: float(np.linalg.norm(m)) for n, m in moves.items()}
    sizes = {n: float(np.linalg.norm(after[n].astype(float))) for n in names}
    way = np.concatenate([moves[n].ravel() for n in names if n.startswith("params.")])
    total = float(np.linalg.norm(way))
    return Movement(lengths, sizes, total)


def distances(replayed: Tensors, claimed: Tensors, moved: Movement) -> dict[str, float]:
    """Compute r of each tensor, of all weights as ``weights``, and effects of moments.

    Args:
        replayed: the state at the end of a replay.
        claimed: the state that was claimed for it.
        moved: movement over the claimed segment.

    Returns:
        Distances by name, dimensionless; infinite where a unit is 0.
    """
    result, square = {}, 0.0
    for name in _names(claimed):
        gap = float(np.linalg.norm(replayed[name].astype(float) - claimed[name]))
        unit = max(moved.lengths[name], FLOOR * moved.sizes[name])
        result[name] = 0.0 if gap == 0 else gap / unit if unit else np.inf
        square += gap**2 if name.startswith("params.") else 0.0
    size = sum(s**2 for n, s in moved.sizes.items() if n.startswith("params.")) ** 0.5
    unit = max(moved.total, FLOOR * size)
    result["weights"] = square**0.5 / unit if unit else np.inf if square else 0.0
    result |= _effects(replayed, claimed)
    return {n: np.inf if np.isnan(r) else float(r) for n, r in result.items()}


def effect_names(names: Iterable[str]) -> list[str]:
    """Names of the effects of moments, of tensors by name."""
    weights = [n[len("mu.") :] for n in names if n.startswith("mu.")]
    return [f"{effect}.{name}" for effect in ("update", "scale") for name in weights]


def _effects(replayed: Tensors, claimed: Tensors) -> dict[str, float]:
    """Distance of the next step from the one that the claimed moments lead to."""
    result = {}
    for name in (n[len("mu.") :] for n in _names(claimed) if n.startswith("mu.")):
        (u, s), (v, t) = (_adam_step(state, name) for state in (replayed, claimed))
        size = float(np.linalg.norm(v))
        gap = float(np.linalg.norm(u - v))
        result[f"update.{name}"] = 0.0 if gap == 0 else gap / size if size else np.inf
        result[f"scale.{name}"] = float(np.max(np.abs(s - t) / np.minimum(s, t)))
    return result


def _adam_step(
    state: Tensors, name: str
) -> tuple[Float64[np.ndarray, "*shape"], Float64[np.ndarray, "*shape"]]:
    """Direction of Adam's step up to bias corrections, and its denominator."""
    scale = np.sqrt(np.maximum(state[f"nu.{name}"].astype(float), 0.0)) + ADAM_EPSILON
    return state[f"mu.{name}"] / scale, scale


def same_bits(replayed: Tensors, claimed: Tensors) -> bool:
    """Compare two states bit for bit; zeros of unlike signs differ."""
    return all(
        np.asarray(replayed[n]).tobytes() == np.asarray(claimed[n]).tobytes()
        for n in claimed
    )


def _names(state: Tensors) -> list[str]:
    return [name for name in sorted(state) if name != "step"]
