"""What a task tells, held against what it says that it tells: names, types, dims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from heliostat.errors import RequestError
from heliostat.task import Task, Var


class RowSchema(NamedTuple):
    """What a method of a task tells, and where the task says what that is."""

    method: str
    declared: str
    thing: str

    def variables(self, task: Task) -> Mapping[str, Var]:
        return getattr(task, self.declared)


STEP = RowSchema("step", "emits", "row")
OBSERVE = RowSchema("observe", "observes", "observed")


def check_rows(task: Task, told: RowSchema, found: Mapping[str, Any]) -> None:
    """The law "rows match emits", said in one line where it is broken.

    Args:
        found: arrays, or their shapes and types, ``(replicas, ...)``.

    Raises:
        RequestError: for the first that does not match.
    """
    check_names(task, told, found)
    for name, var in told.variables(task).items():
        dtype, shape = found[name].dtype, found[name].shape[1:]
        if dtype != dtype_of(var) or len(shape) != len(var.dims):
            raise mismatch(task, told, name, dtype, shape)
        check_coords(task, told, name, shape)


def check_coords(task: Task, told: RowSchema, name: str, shape: Sequence[int]) -> None:
    """As many names as there are entries, along dims whose entries a task names."""
    for dim, size in zip(told.variables(task)[name].dims, shape, strict=True):
        names = task.coords.get(dim)
        if names is not None and len(names) != size:
            raise RequestError(
                f"{type(task).__name__}: {told.thing} '{name}' has {size} entries "
                f"along '{dim}', coords names {len(names)}"
            )


def check_names(task: Task, told: RowSchema, found: Mapping[str, Any]) -> None:
    wanted = told.variables(task)
    if set(found) != set(wanted):
        raise RequestError(
            f"{type(task).__name__}: {told.method} returns {sorted(found)}, "
            f"{told.declared} has {sorted(wanted)}"
        )


def mismatch(
    task: Task, told: RowSchema, name: str, dtype: Any, shape: Sequence[int]
) -> RequestError:
    var = told.variables(task)[name]
    return RequestError(
        f"{type(task).__name__}: {told.thing} '{name}' is {dtype}{list(shape)}, "
        f"{told.declared} says {dtype_of(var)} with dims {list(var.dims)}"
    )


def dtype_of(var: Var) -> Any:
    """The type of a variable, in the precision that JAX computes in now."""
    if var.dtype == "str":
        return np.dtypes.StringDType()
    return float_dtype() if var.dtype == "float" else np.dtype(var.dtype)


def float_dtype() -> np.dtype[Any]:
    """Of floats that JAX makes now: float32, or float64."""
    return jnp.zeros(()).dtype
