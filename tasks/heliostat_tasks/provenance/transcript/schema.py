"""Checks of JSON values in a stranger's transcript: tables, integers, digits."""

from __future__ import annotations

from typing import Any

from heliostat_tasks.provenance.canonical import Refused


def check_table(value: Any, names: set[str], label: str) -> dict[str, Any]:
    """Return a table, if it has exactly these entries.

    Raises:
        Refused: for anything else.
    """
    if not isinstance(value, dict) or set(value) != names:
        raise Refused(f"{label} has other entries than it must")
    return value


def check_integer(value: Any, label: str, least: int) -> int:
    """Return an integer, if it is large enough; a boolean is none.

    Raises:
        Refused: for anything else.
    """
    if type(value) is not int or value < least:
        raise Refused(f"{label}: expected a whole number of at least {least}")
    return value


def check_hex(value: Any, count: int, label: str) -> str:
    """Return lower-case hexadecimal digits, if they are those of ``count`` bytes.

    Raises:
        Refused: for anything else.
    """
    right_size = isinstance(value, str) and len(value) == 2 * count
    if right_size and not set(value) - set("0123456789abcdef"):
        return value
    raise Refused(f"{label}: expected {2 * count} hexadecimal digits")
