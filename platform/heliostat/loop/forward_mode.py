"""Derivative of a run's validation loss with respect to its traced fields.

With x the state, λ the traced fields (those of ``packable``) and L the ``validation``
of a task, a run of T steps carries its tangents ẋ = ∂x/∂λ along,

    xₜ = step(xₜ₋₁, λ)        ẋₜ = ∂step/∂x ẋₜ₋₁ + ∂step/∂λ
    dL/dλ = ∂L/∂x ẋ_T + ∂L/∂λ

so memory does not grow with T, and time grows with the number of fields. Keys are
constants: this is the derivative of one run, not of an average over seeds.

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
from heliostat.loop.keys import root_words, step_key
from heliostat.system.jit import jit
from heliostat.task import Task


class ValueAndGrad(NamedTuple):
    """The validation loss at the end of a run, and its gradient."""

    loss: float
    gradient: Mapping[str, float]  # by field, loss / units of the field


class ForwardMode:
    """Runs of a task with their derivatives: one program for all seeds and lengths.

    Args:
        task: with a ``validation``; the values of its packable fields do not matter.
        names: the fields that are differentiated, floats.
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
        """Return the validation loss at the end of a run, and its gradient.

        Args:
            traced_fields: values of all packable fields.
            seed: seed of the run.
            steps: its length T.

        Raises:
            RequestError: if ``validation`` returns anything but one float.
        """
        with jax.enable_x64(self._x64):
            at = jnp.array([traced_fields[name] for name in self.names], float)
            others = {
                name: jnp.array(value)
                for name, value in traced_fields.items()
                if name not in self.names
            }
            args = (at, others, root_words(seed), np.int32(steps), self._data)
            gradient, loss = map(np.asarray, self._program(*args))
        by_name = zip(self.names, gradient.tolist(), strict=True)
        return ValueAndGrad(float(loss), dict(by_name))

    @cached_property
    def _data(self) -> Any:
        return self.task.prepare()

    @cached_property
    def _program(self) -> Any:
        def loss_twice(*args: Any) -> tuple[Any, Any]:
            loss = self._loss(*args)
            return loss, loss

        return jit(jax.jacfwd(loss_twice, has_aux=True))

    def _loss(self, at: Any, others: Any, root: Any, steps: Any, data: Any) -> Any:
        """Return the validation loss of a whole run, the mean over its replicas."""
        values = dict(zip(self.names, at, strict=True))
        task = with_traced_fields(self.task, others | values)

        def one(replica: Any) -> Any:
            def body(t: Any, state: Any) -> Any:
                return task.step(step_key(root, replica, t), state, data)[0]

            start = task.init(step_key(root, replica, 0), replica, data)
            end = jax.lax.fori_loop(1, steps + 1, body, start)
            return check_loss(task, task.validation(end, data))

        replicas = np.arange(task.replicas, dtype=np.int32)
        if len(replicas) == 1:
            return one(replicas[0])
        width = task.width if task.width > 1 else None  # as in the loop
        return jnp.mean(jax.lax.map(one, jnp.array(replicas), batch_size=width))


def check_loss(task: Task, loss: Any) -> Any:
    """Return the loss as a JAX scalar.

    Raises:
        RequestError: if it is not one float.
    """
    array = jnp.asarray(loss)
    if array.shape or not jnp.issubdtype(array.dtype, jnp.floating):
        raise RequestError(
            f"{type(task).__name__}: validation gives "
            f"{array.dtype}{list(array.shape)}, expected one float"
        )
    return array
