"""Checks of the fields of the task: one line says what is wrong."""

from __future__ import annotations

from typing import Any

AT_LEAST_ONE = (
    *("walkers", "moves", "burn_in", "terms", "determinants"),
    *("features", "layers", "attention_heads"),
)
NOT_NEGATIVE = ("train", "pretrain", "lr", "damping", "norm")


def check_fields(task: Any, settling: int) -> None:
    """Refuse sizes and rates outside their ranges.

    Args:
        task: the task whose fields are checked.
        settling: first steps, in which parameters do not move yet.

    Raises:
        ValueError: for the first field that makes no sense.
    """
    for name in AT_LEAST_ONE:
        if getattr(task, name) < 1:
            raise ValueError(f"{name} must be positive, got {getattr(task, name)}")
    if 0 < task.train <= settling:
        raise ValueError(
            f"train must be 0 or more than {settling}, the steps in which walkers "
            f"settle before parameters move, got {task.train}"
        )
    for name in NOT_NEGATIVE:
        if not getattr(task, name) >= 0:  # also refuses NaN
            raise ValueError(f"{name} must not be negative, got {getattr(task, name)}")
    if not 0 <= task.momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {task.momentum}")
    if task.features % task.attention_heads:
        raise ValueError(
            "features must be a multiple of attention_heads, "
            f"got {task.features} and {task.attention_heads}"
        )
