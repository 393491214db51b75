"""Policies that choose the point from which the inner descent of a step starts.

    cold     w₀                       reset    w₀ in every n-th step, else w
    warm     w                        anchor   w + a (w₀ − w),   0 ≤ a ≤ 1
    redrawn  a new w₀ in each step

w is the last point of the previous descent. Only a descent that starts from some w₀
can be repeated from u alone.

Reference: Vicol et al., arXiv:2212.14032, algorithms 1 and 2 [cold and warm].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

PolicyName = Literal["cold", "warm", "reset", "anchor", "redrawn"]
"""Names of the policies."""


def initial_point(
    policy: PolicyName,
    step: Int[Array, ""],
    w0: Any,
    w: Any,
    redraw: Callable[[], Any],
    reset_every: int,
    anchor: float | Array,
) -> Any:
    """Choose the point from which inner descent starts, a pytree like ``w``.

    Args:
        policy: its name.
        step: number of steps taken; the first step is number 0.
        w0: start of the run.
        w: last point of the previous descent.
        redraw: draws a new w₀; only ``redrawn`` calls it.
        reset_every: steps between starts at w₀, of policy ``reset``.
        anchor: a, of policy ``anchor``.
    """
    if policy == "cold":
        return w0
    if policy == "redrawn":
        return redraw()
    if policy == "reset":
        resets = step % reset_every == 0
        return jax.tree.map(lambda a, b: jnp.where(resets, a, b), w0, w)
    if policy == "anchor":
        return jax.tree.map(lambda a, b: b + anchor * (a - b), w0, w)
    return w
