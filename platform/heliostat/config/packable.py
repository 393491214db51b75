"""Traced fields: packable numbers, which are arguments of a compiled program."""

from __future__ import annotations

from functools import cache
from typing import get_args

from heliostat.errors import RequestError
from heliostat.fields.conversion import field_type, is_number
from heliostat.task import Task


def traced_fields(task: Task) -> dict[str, float]:
    """Return the numbers of the packable fields, resolved; integers as ``int``.

    Raises:
        RequestError: if a packable field is not a number.
    """
    resolved = {name: getattr(task, name) for name in task.packable}
    resolved |= {n: v for n, v in task.canonical().items() if n in task.packable}
    numbers = {}
    for name, value in resolved.items():
        kind = number_type(type(task), name)
        if kind is None or isinstance(value, bool) or not is_number(value):
            raise RequestError(
                f"{name}={value!r}: expected a number, because the field is packable"
            )
        numbers[name] = kind(value)
    return numbers


@cache  # called for every cell of a sweep
def number_type(task: type[Task], name: str) -> type | None:
    """Return ``float`` or ``int`` for a field of this type or this type and None.

    The types of other fields are not evaluated: a worker may not know them.
    """
    hint = field_type(task, name)
    kinds = {*(get_args(hint) or (hint,))} - {type(None)}
    return kinds.pop() if kinds in ({int}, {float}) else None
