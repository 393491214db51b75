"""A run with its derivatives: how its last loss answers its knobs, by forward mode.

With x the state, k the knobs (fields that are ``packable``) and L the ``validation`` of
a task, a run of T steps is carried on together with its tangents ẋ = ∂x/∂k,

    xₜ = step(xₜ₋₁, k)        ẋₜ = ∂step/∂x ẋₜ₋₁ + ∂step/∂k
    dL/dk = ∂L/∂x ẋ_T + ∂L/∂k

so that memory does not grow with T, and time does with the number of knobs.  Keys are
constants: it is the derivative of this run, not of an average over others.

Reference: Franceschi et al., arXiv:1703.01785, §3.2 [forward mode].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from heliostat.errors import RequestError
from heliostat.loop.batching import with_traced_fields
from heliostat.loop.keys import cell_key, root_words
from heliostat.system.jit import jit
from heliostat.task import Task


class ValueAndGrad(NamedTuple):
    """The validation loss at the end of a run, and what it does with the knobs."""

    loss: float
    gradient: Mapping[str, float]  # by knob, loss / units of the knob


class ForwardMode:
    """Runs of a task with their derivatives: one program for all seeds and lengths.

    Args:
        task: with a ``validation``; its packable fields may be other numbers later.
        names: the knobs that are differentiated, floats.
        x64: compute in float64.

    Example:
        >>> import heliostat as hs
        >>> class Descent(hs.Task):  # w ← w − a w from 1, so L = (1 − a)²ᵀ / 2
        ...     a: float = 0.5
        ...     packable = ("a",)
        ...     def init(self, key, replica, data):
        ...         return jnp.ones(())
        ...     def step(self, key, state, data):
        ...         return state - self.a * state, {}
        ...     def validation(self, state, data):
        ...         return 0.5 * state**2
        >>> derivative = ForwardMode(Descent(), ["a"], x64=False)
        >>> result = derivative.value_and_grad({"a": 0.5}, seed=0, steps=2)
        >>> result.loss, result.gradient  # dL/da = −T (1 − a)²ᵀ⁻¹
        (0.03125, {'a': -0.25})
    """

    def __init__(self, task: Task, names: Sequence[str], x64: bool) -> None:
        self.task, self.names, self._x64 = task, tuple(names), x64

    def value_and_grad(
        self, traced_fields: Mapping[str, float], seed: int, steps: int
    ) -> ValueAndGrad:
        """The slope at the end of a run.

        Args:
            knobs: of all packable fields.

        Raises:
            RequestError: if ``validation`` gives something else than one float.
        """
        with jax.enable_x64(self._x64):
            swept = jnp.array([traced_fields[name] for name in self.names], float)
            rest = {
                n: jnp.array(v) for n, v in traced_fields.items() if n not in self.names
            }
            found = self._program(
                swept, rest, root_words(seed), np.int32(steps), self._data
            )
            gradient, loss = map(np.asarray, found)
        named = zip(self.names, gradient.tolist(), strict=True)
        return ValueAndGrad(float(loss), dict(named))

    @cached_property
    def _data(self) -> Any:
        return self.task.prepare()

    @cached_property
    def _program(self) -> Any:
        def twice(*args: Any) -> tuple[Any, Any]:
            loss = self._loss(*args)
            return loss, loss

        return jit(jax.jacfwd(twice, has_aux=True))

    def _loss(self, swept: Any, rest: Any, root: Any, steps: Any, data: Any) -> Any:
        """Of a whole run, the mean over its replicas."""
        named = dict(zip(self.names, swept, strict=True))
        task = with_traced_fields(self.task, rest | named)

        def one(replica: Any) -> Any:
            def body(t: Any, state: Any) -> Any:
                return task.step(cell_key(root, replica, t), state, data)[0]

            start = task.init(cell_key(root, replica, 0), replica, data)
            end = jax.lax.fori_loop(1, steps + 1, body, start)
            return check_loss(task, task.validation(end, data))

        replicas = np.arange(task.replicas, dtype=np.int32)
        if len(replicas) == 1:
            return one(replicas[0])
        width = task.width if task.width > 1 else None  # as the loop has it
        return jnp.mean(jax.lax.map(one, jnp.array(replicas), batch_size=width))


def check_loss(task: Task, loss: Any) -> Any:
    """
    Raises:
        RequestError: if a loss is no scalar of floats.
    """
    found = jnp.asarray(loss)
    if found.shape or not jnp.issubdtype(found.dtype, jnp.floating):
        told = f"{found.dtype}{list(found.shape)}"
        raise RequestError(
            f"{type(task).__name__}: validation gives {told}, expected one float"
        )
    return found
