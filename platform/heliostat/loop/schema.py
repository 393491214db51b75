"""Checks of the rows that a task returns against its ``emits`` and ``observes``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from heliostat.errors import RequestError
from heliostat.task import Task, Var


class RowSchema(NamedTuple):
    """A method of a task that returns rows, and the attribute that declares them."""

    method: str
    declared: str
    noun: str

    def variables(self, task: Task) -> Mapping[str, Var]:
        """Return the declared variables by name."""
        return getattr(task, self.declared)


STEP = RowSchema("step", "emits", "row")
OBSERVE = RowSchema("observe", "observes", "observed")


def check_rows(task: Task, schema: RowSchema, rows: Mapping[str, Any]) -> None:
    """Check names, dtypes and dims of the rows that a task returns.

    Args:
        rows: arrays, or their shapes and dtypes, ``(replicas, ...)``.

    Raises:
        RequestError: for the first variable that does not match.
    """
    check_names(task, schema, rows)
    for name, var in schema.variables(task).items():
        dtype, shape = rows[name].dtype, rows[name].shape[1:]
        if dtype != dtype_of(var) or len(shape) != len(var.dims):
            raise mismatch(task, schema, name, dtype, shape)
        check_coords(task, schema, name, shape)


def check_coords(
    task: Task, schema: RowSchema, name: str, shape: Sequence[int]
) -> None:
    """Check that ``coords`` names as many entries along each dim as there are.

    Raises:
        RequestError: for the first dim that does not match.
    """
    for dim, size in zip(schema.variables(task)[name].dims, shape, strict=True):
        names = task.coords.get(dim)
        if names is not None and len(names) != size:
            raise RequestError(
                f"{type(task).__name__}: {schema.noun} '{name}' has {size} entries "
                f"along '{dim}', coords names {len(names)}"
            )


def check_names(task: Task, schema: RowSchema, row: Mapping[str, Any]) -> None:
    """Check the names of variables.

    Raises:
        RequestError: if they are not the declared ones.
    """
    declared = schema.variables(task)
    if set(row) != set(declared):
        raise RequestError(
            f"{type(task).__name__}: {schema.method} returns {sorted(row)}, "
            f"{schema.declared} has {sorted(declared)}"
        )


def mismatch(
    task: Task, schema: RowSchema, name: str, dtype: Any, shape: Sequence[int]
) -> RequestError:
    """Return the error for a variable with another dtype or number of dims."""
    var = schema.variables(task)[name]
    return RequestError(
        f"{type(task).__name__}: {schema.noun} '{name}' is {dtype}{list(shape)}, "
        f"{schema.declared} says {dtype_of(var)} with dims {list(var.dims)}"
    )


def dtype_of(var: Var) -> Any:
    """Return the dtype of a variable; of ``"float"``, that of JAX's default floats."""
    if var.dtype == "str":
        return np.dtypes.StringDType()
    return float_dtype() if var.dtype == "float" else np.dtype(var.dtype)


def float_dtype() -> np.dtype[Any]:
    """Return the dtype of JAX's default floats now: float32 or float64."""
    return jnp.zeros(()).dtype
