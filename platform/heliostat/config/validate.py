"""Checks of the class attributes that a task declares beside its fields."""

from __future__ import annotations

from heliostat.config import registry
from heliostat.config.fields import fields_of
from heliostat.config.packable import number_type, traced_fields
from heliostat.errors import RequestError, did_you_mean
from heliostat.task import Task


def check_declarations(task: Task) -> None:
    """Check sizes, packable fields and coordinates of a task.

    Raises:
        RequestError: for an invalid size, packable field or coordinate.
    """
    name = registry.name_of(type(task))
    if task.replicas < 1 or task.width < 1 or task.stride < 1:
        raise RequestError(
            f"{name}: replicas, width and stride must be >= 1, "
            f"got {task.replicas}, {task.width}, {task.stride}"
        )
    if task.kept is not None and task.kept < 3:
        raise RequestError(f"{name}: kept must be >= 3, got {task.kept}")
    if task.packable:
        _check_packable(task, name)
    _check_coords(task, name)


def _check_coords(task: Task, name: str) -> None:
    """Check that coordinates are unique names along dims of a row."""
    for dim, names in task.coords.items():
        if dim in (task.replica_dim, task.step_dim):
            raise RequestError(
                f"{name}: coords cannot name '{dim}', whose entries are numbered"
            )
        if dim not in (known := _dims(task)):
            hint = (
                did_you_mean(dim, known) or f"; its dims are {', '.join(sorted(known))}"
            )
            raise RequestError(
                f"{name}: coords names '{dim}', which is not a dim of a row{hint}"
            )
        different = {n for n in names if isinstance(n, str)}
        if isinstance(names, str) or len(different) < len(names):
            raise RequestError(
                f"{name}: coords of '{dim}': expected unique names, got {names!r}"
            )


def _check_packable(task: Task, name: str) -> None:
    """Check that packable fields are numbers, and the task runs on one device."""
    if not task.traced or task.sharded:
        kind = "sharded" if task.sharded else "not traced"
        raise RequestError(
            f"{name}: packable fields need a traced task that is "
            f"not sharded; the task is {kind}"
        )
    for field in task.packable:
        if field not in (known := fields_of(type(task))):
            hint = did_you_mean(field, known) or f"; its fields are {', '.join(known)}"
            raise RequestError(
                f"{name}: packable names '{field}', which is not a field{hint}"
            )
        if number_type(type(task), field) is None:
            raise RequestError(
                f"{name}: packable names '{field}', which is not a number"
            )
    for field, value in traced_fields(task).items():
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise RequestError(
                f"{field}={value}: expected 32 bits, because it is packable"
            )


def _dims(task: Task) -> set[str]:
    """Return the dims of the variables of a task, without step and replica."""
    variables = (*task.emits.values(), *task.observes.values())
    return {dim for var in variables for dim in var.dims}
