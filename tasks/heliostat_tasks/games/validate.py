"""Checks of the fields of the task: one line says what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from heliostat_tasks.games.methods import CORRECTED
from heliostat_tasks.games.problems.problem import Game

LEAST = {"size": 1, "batch": 1, "starts": 1, "game_seed": 0}
"""Smallest values of the counts."""


def check_fields(fields: Mapping[str, Any], problem: Game) -> None:
    """Refuse fields that make no sense.

    Args:
        fields: values by name, resolved.
        problem: that they describe.

    Raises:
        ValueError: with the value given and the value expected.
    """
    for name, least in LEAST.items():
        if fields[name] < least:
            raise ValueError(f"{name} {fields[name]}: expected {least} or more")
    if fields["lr"] <= 0:
        raise ValueError(f"lr {fields['lr']}: expected a positive number")
    for name in ("beta", "last_beta"):
        if fields[name] is not None and fields[name] < 0:
            raise ValueError(
                f"{name} {fields[name]}: expected |β|, 0 or more; negative momentum is "
                "angle 3.14159"
            )
    for name in ("angle", "last_angle"):
        _check_angle(name, fields[name])
    if fields["condition"] < 1:
        raise ValueError(f"condition {fields['condition']}: expected 1 or more")
    if not 0 <= fields["mixing"] <= 1:
        raise ValueError(f"mixing {fields['mixing']}: expected a share, 0 to 1")
    if fields["penalty"] < 0:
        raise ValueError(f"penalty {fields['penalty']}: expected 0 or more")
    if fields["method"] == "competitive" and problem.players != 2:
        raise ValueError(
            f"method competitive: expected a game of two players, {fields['problem']} "
            f"has {problem.players}"
        )


def uses(method: str, problem: Game) -> dict[str, tuple[bool, str]]:
    """Map each field that only some runs read to whether this one does, and its use."""
    names = "size condition mixing penalty batch game_seed data".split()
    table = {n: (n in problem.uses, "other games") for n in names}
    has_momentum = method != "optimistic"
    for name in ("beta", "last_beta"):
        table[name] = (has_momentum, "methods with momentum")
    for name in ("angle", "last_angle"):
        known = has_momentum and method not in ("aggregated", "adaptive")
        table[name] = (known, "methods with a fixed angle")
    table["strength"] = (method in CORRECTED, "methods " + ", ".join(CORRECTED))
    return table


def _check_angle(name: str, angle: float | None) -> None:
    if angle is not None and abs(angle) > 2 * math.pi:
        raise ValueError(
            f"{name} {angle:g}: expected radians, at most 2π; {angle:g} degrees are "
            f"{math.radians(angle):.4f}"
        )
