"""Fields of tasks: their types and help, and tasks built from plain values."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple, get_type_hints

from heliostat.config import registry, source
from heliostat.config.values import json_value
from heliostat.errors import RequestError, did_you_mean
from heliostat.fields.conversion import coerce
from heliostat.task import Task

RESERVED = frozenset(
    (
        "steps seed store workers on gpus x64 until preset config fresh json dry_run "
        "width stride replicas segments over search scheduler metric trials where "
        "task run resume start extend stop watch logs tag rm gc plot runs show tasks "
        "verify export check sweep report"
    ).split()
)
"""Names of verbs and options; no field may have one."""


class Field(NamedTuple):
    """Field of a task: name, type, default and help text."""

    name: str
    type: Any
    default: Any
    help: str


@cache
def fields_of(task: type[Task]) -> Mapping[str, Field]:
    """Return the fields of a task with types, defaults and comments as help.

    Raises:
        RequestError: for a reserved name, or a value that looks like a field.
    """
    _check_declared(task)
    hints, comments = get_type_hints(task), source.field_comments(task)
    fields = {}
    for field in dataclasses.fields(task):
        if field.name in RESERVED:
            raise RequestError(
                f"{task.__name__}.{field.name}: the name is reserved; rename the field"
            )
        fields[field.name] = Field(
            field.name,
            hints[field.name],
            field.default,
            comments.get(field.name, ""),
        )
    return fields


def _check_declared(task: type[Task]) -> None:
    """Refuse attributes that the author takes for fields, which would be ignored.

    Raises:
        RequestError: for an annotation without ``@dataclass``, or a default without an
            annotation.
    """
    for cls in (c for c in task.__mro__ if issubclass(c, Task) and c is not Task):
        if "__dataclass_fields__" in vars(cls):
            continue
        for name, hint in inspect.get_annotations(cls).items():
            if name not in vars(Task) and "ClassVar" not in str(hint):
                raise RequestError(
                    f"{cls.__name__}.{name} is not a field, because {cls.__name__} is "
                    "not a dataclass; write @dataclass(frozen=True) above the class"
                )
    for field in dataclasses.fields(task):
        value = inspect.getattr_static(task, field.name, field.default)
        if value is not field.default and not hasattr(value, "__get__"):
            raise RequestError(
                f"{task.__name__}.{field.name} = {value!r} does not change the field's "
                f"default; annotate it, {field.name}: TYPE = {value!r}, in a dataclass"
            )


def build(task: type[Task], fields: Mapping[str, Any]) -> Task:
    """Build a task from plain values (YAML, JSON, command line), each checked.

    Raises:
        RequestError: for an unknown field (with a suggestion), a value outside its
            field's type, a missing field, or a value that the task refuses.
    """
    known = fields_of(task)
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known) or f"; its fields are {', '.join(known)}"
            raise RequestError(f"{registry.name_of(task)} has no field '{name}'{hint}")
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in fields:
            raise RequestError(f"{registry.name_of(task)} needs a value for '{name}'")
    try:
        return task(**fields)  # which converts and checks each value
    except (ValueError, OSError) as error:
        raise RequestError(str(error)) from error


def coerce_field(task: type[Task], name: str, value: Any) -> Any:
    """Convert one value to the type of its field, checked as in :func:`build`."""
    return coerce(value, fields_of(task)[name].type, name)


def replace_fields(task: Task, values: Mapping[str, Any]) -> Task:
    """Return the task with some fields replaced, checked as in :func:`build`."""
    return build(type(task), _values(task) | dict(values))


def with_declared_types(task: Task) -> Task:
    """Check every field, and return the task with each value in its declared type.

    Returns:
        The same object, unless a value has another type, such as 1 for 1.0.

    Raises:
        RequestError: for a value outside its field's type.
    """
    hints, values = fields_of(type(task)), _values(task)
    typed = {n: coerce(value, hints[n].type, n) for n, value in values.items()}
    if all(_identical(value, typed[name]) for name, value in values.items()):
        return task
    return build(type(task), typed)


def _identical(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_identical, a, b))
    return type(a) is type(b) and a == b


def passed_fields(task: Task) -> dict[str, Any]:
    """Return every field as a JSON value, as the user gave it."""
    return {name: json_value(value) for name, value in _values(task).items()}


def _values(task: Task) -> dict[str, Any]:
    return {name: getattr(task, name) for name in fields_of(type(task))}
