"""Code in the values of fields: its text, and its stored references."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from heliostat.config.code import Code
from heliostat.config.values import json_value
from heliostat.task import Task


def codes_of(task: Task) -> list[Code]:
    """List the code with text in the fields of a task."""
    values = (getattr(task, field.name) for field in dataclasses.fields(task))
    return [
        code for value in values for code in codes_in(value) if code.text is not None
    ]


def codes_in(value: Any) -> Iterator[Code]:
    """Yield the code in a value, also in nested tuples."""
    if isinstance(value, Code):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from codes_in(item)


def to_references(value: Any) -> Any:
    """Convert a value for the identity: code to its digest and name."""
    if isinstance(value, tuple):
        return [to_references(item) for item in value]
    return value.reference if isinstance(value, Code) else json_value(value)


def substitute(value: Any, supplied: Mapping[str, Code]) -> Any:
    """Replace references in a value by code with its text."""
    if isinstance(value, tuple):
        return tuple(substitute(item, supplied) for item in value)
    return supplied.get(value.reference, value) if isinstance(value, Code) else value
