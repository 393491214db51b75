"""Checks of a task: its class attributes, fields without use, files without a field."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from inspect import isfunction
from typing import Any

from heliostat.config import registry
from heliostat.config.execution import EXECUTED, refuse_reads
from heliostat.config.fields import fields_of
from heliostat.config.packable import number_type, traced_fields
from heliostat.errors import RequestError, did_you_mean
from heliostat.fields.conversion import File
from heliostat.system import audit
from heliostat.task import Task, Var


def _is_declaration(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(var, Var) for var in value.values()
    )


ATTRIBUTES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (
        ("replicas", "width", "stride", "task_version"),
        lambda value: type(value) is int,
        "an int",
    ),
    (
        ("emits", "observes"),
        _is_declaration,
        'hs.Var by name, such as {"x": hs.Var()}',
    ),
    (
        ("sharded", "packable", "finds", "asks"),
        lambda value: not isinstance(value, str),
        'a tuple of names, such as ("x",)',
    ),
)
"""Class attributes, a condition on their values, and its words."""


def check_declarations(task: Task) -> None:
    """Check sizes, packable fields and coordinates of a task.

    Raises:
        RequestError: for an attribute of another type, and for an invalid size,
            packable field or coordinate.
    """
    name = registry.name_of(type(task))
    _check_types(task, name)
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


def _check_types(task: Task, name: str) -> None:
    """Check the types of class attributes: sizes, declarations and lists of names."""
    for attributes, is_valid, expected in ATTRIBUTES:
        for attribute in attributes:
            if not is_valid(value := getattr(task, attribute)):
                raise RequestError(
                    f"{name}: {attribute}={value!r}: expected {expected}"
                )


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


def check_used(task: Task, uses: Mapping[str, tuple[bool, str]]) -> None:
    """Refuse fields that are set although nothing reads them.

    Otherwise the same numbers would be stored again under another run id.

    Args:
        task: the task.
        uses: for a field, True if something reads it, and its purpose.

    Raises:
        ValueError: for the first unread field that differs from its default.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Walk(Task):
        ...     sigma: float = 1.0
        >>> check_used(Walk(2.0), {"sigma": (False, "slow walks")})
        Traceback (most recent call last):
        ValueError: sigma 2.0: nothing reads it here, it is for slow walks; leave it out
    """
    for field in fields(task):
        used, purpose = uses.get(field.name, (True, ""))
        given = getattr(task, field.name)
        if not used and given != field.default:
            raise ValueError(
                f"{field.name} {given}: nothing reads it here, it is for {purpose}; "
                "leave it out"
            )


@contextmanager
def declared_reads(task: Task) -> Generator[None]:
    """Refuse data files that methods of a task open meanwhile, unless fields name them.

    Installed tasks are trusted: their version is part of the identity.
    """
    mro = type(task).__mro__
    own = [c for c in mro if issubclass(c, Task) and not registry.is_registered(c)]
    functions = (v for c in own if c is not Task for v in vars(c).values())
    codes = {f.__code__.co_filename for f in functions if isfunction(f)}
    values = [getattr(task, field.name) for field in fields(task)]
    flat = [v for value in values for v in (value if type(value) is tuple else [value])]
    paths = {file.path.absolute() for file in flat if isinstance(file, File)}
    for _, execution in filter(None, map(EXECUTED.get, own)):
        paths |= execution.inputs.paths
    remedy = "give it as a field of type hs.File"
    with ExitStack() as stack:
        for code in codes if not registry.is_registered(type(task)) else ():
            stack.enter_context(audit.observed(code, refuse_reads(code, paths, remedy)))
        yield
