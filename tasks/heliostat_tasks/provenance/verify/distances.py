"""How far a replay ends from what was claimed, in units of how far training moved.

    r = ‖W' − W_i‖ / max(‖W_i − W_{i−1}‖, τ ‖W_i‖)

of each tensor, and of all weights together.  Relative, because an absolute limit lets
small dishonest steps pass; per tensor, because a change in one of them would drown in a
global norm.

Moments are measured by what they do as well.  Second moments span many orders of
magnitude: zeroing the least of them is nothing in the norm of a tensor, and moves their
weights at will in the next step.  So, with s = √ν + 1e-8 of Adam::

    update.w = ‖μ'/s' − μ/s‖ / ‖μ/s‖         scale.w = max |s' − s| / min(s', s)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

FLOOR = 1e-6
"""τ: the least movement that a distance is measured in, as a share of the tensor."""

EPSILON = 1e-8
"""What Adam adds to the root of its second moments."""

State = Mapping[str, np.ndarray]


class Movement(NamedTuple):
    """What a segment did to each tensor of a state."""

    lengths: dict[str, float]  # ‖W_i − W_{i−1}‖
    sizes: dict[str, float]  # ‖W_i‖
    total: float  # of all weights together


def movement(before: State, after: State) -> Movement:
    names = _tensors(after)
    moves = {n: after[n].astype(float) - before[n].astype(float) for n in names}
    lengths = {n: float(np.linalg.norm(m)) for n, m in moves.items()}
    sizes = {n: float(np.linalg.norm(after[n].astype(float))) for n in names}
    way = np.concatenate([moves[n].ravel() for n in names if n.startswith("params.")])
    total = float(np.linalg.norm(way))
    return Movement(lengths, sizes, total)


def distances(replayed: State, claimed: State, moved: Movement) -> dict[str, float]:
    """r of each tensor, and of all weights under the name ``weights``."""
    found, square = {}, 0.0
    for name in _tensors(claimed):
        gap = float(np.linalg.norm(replayed[name].astype(float) - claimed[name]))
        unit = max(moved.lengths[name], FLOOR * moved.sizes[name])
        found[name] = 0.0 if gap == 0 else gap / unit if unit else np.inf
        square += gap**2 if name.startswith("params.") else 0.0
    size = sum(s**2 for n, s in moved.sizes.items() if n.startswith("params.")) ** 0.5
    unit = max(moved.total, FLOOR * size)
    found["weights"] = square**0.5 / unit if unit else np.inf if square else 0.0
    found |= _effects(replayed, claimed)
    return {n: np.inf if np.isnan(r) else float(r) for n, r in found.items()}


def effects(names: Iterable[str]) -> list[str]:
    """The names under which the effects of moments are told."""
    weights = [n[len("mu.") :] for n in names if n.startswith("mu.")]
    return [f"{what}.{name}" for what in ("update", "scale") for name in weights]


def _effects(replayed: State, claimed: State) -> dict[str, float]:
    """How far the next step is from where the claimed moments would lead."""
    found = {}
    for name in (n[len("mu.") :] for n in _tensors(claimed) if n.startswith("mu.")):
        (u, s), (v, t) = (_step(state, name) for state in (replayed, claimed))
        size = float(np.linalg.norm(v))
        gap = float(np.linalg.norm(u - v))
        found[f"update.{name}"] = 0.0 if gap == 0 else gap / size if size else np.inf
        found[f"scale.{name}"] = float(np.max(np.abs(s - t) / np.minimum(s, t)))
    return found


def _step(state: State, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The direction of Adam's step up to bias corrections, and what it divides by."""
    scale = np.sqrt(np.maximum(state[f"nu.{name}"].astype(float), 0.0)) + EPSILON
    return state[f"mu.{name}"] / scale, scale


def same_bits(replayed: State, claimed: State) -> bool:
    """Whether two states are equal bit for bit, zeros with their signs."""
    return all(
        np.asarray(replayed[n]).tobytes() == np.asarray(claimed[n]).tobytes()
        for n in claimed
    )


def _tensors(state: State) -> list[str]:
    return [name for name in sorted(state) if name != "step"]
