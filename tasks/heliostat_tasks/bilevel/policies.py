"""Where the inner descent of a step starts: what a run remembers of earlier ones.

    cold     w₀                    reset    w₀ in every n-th step, else w
    warm     w                     anchor   w + a (w₀ − w),   0 ≤ a ≤ 1
    redrawn  another w₀ each step

w is where the descent of the last step ended.  Only what starts at w₀, whatever it is,
can be had again from u alone.

Reference: Vicol et al., arXiv:2212.14032, algorithms 1 and 2 [cold and warm].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

if TYPE_CHECKING:
    from heliostat_tasks.bilevel.problems.problem import Data
    from heliostat_tasks.bilevel.task import Bilevel, State

PolicyName = Literal["cold", "warm", "reset", "anchor", "redrawn"]
"""Inner descent starts at w₀, at the last w, at either, between them, or anywhere."""


def initial_point(task: Bilevel, key: Array, state: State, data: Data) -> Any:
    """Where the task's policy has this step's descent start, a pytree like w.

    Args:
        key: of a new w₀, which only ``redrawn`` reads.
        state: before the step, so that its first step is number 0.
    """
    w0, w = state.start, state.w
    if task.policy == "cold":
        return w0
    if task.policy == "redrawn":
        return task.problem_instance.inner_start(key, data)
    if task.policy == "reset":
        back = state.step % task.reset_every == 0
        return jax.tree.map(lambda a, b: jnp.where(back, a, b), w0, w)
    if task.policy == "anchor":
        return jax.tree.map(lambda a, b: b + task.anchor * (a - b), w0, w)
    return w
