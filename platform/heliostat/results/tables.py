"""Tables of runs, in which whole numbers stay whole where other lines have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

NULLABLE: Mapping[type, Any] = {int: "Int64", bool: "boolean"}
"""Types of pandas that have a missing value; plain ones become floats and objects."""


def table_of(
    lines: Sequence[Mapping[str, Any]], columns: Iterable[str] = ()
) -> pd.DataFrame:
    """Return lines as a table; a name that a line lacks is missing there.

    Args:
        lines: values by the name of their column.
        columns: names of the first columns; default in the order of the lines.

    Example:
        >>> table_of([{"id": "a", "warmup": 100}, {"id": "b"}]).warmup.tolist()
        [100, <NA>]
    """
    names = dict.fromkeys([*columns, *(name for line in lines for name in line)])
    values = {name: [line.get(name) for line in lines] for name in names}
    return pd.DataFrame({name: _column(entries) for name, entries in values.items()})


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as lines, with None for all that is missing.

    Example:
        >>> records_of(table_of([{"id": "a", "warmup": 100}, {"id": "b"}]))[1]
        {'id': 'b', 'warmup': None}
    """
    plain = table.astype(object)
    return plain.where(table.notna(), None).to_dict("records")


def _column(entries: list[Any]) -> pd.Series:
    kinds = {type(entry) for entry in entries}
    if kinds in ({int, type(None)}, {bool, type(None)}):
        (kind,) = kinds - {type(None)}
        try:
            return pd.Series(entries, dtype=NULLABLE[kind])
        except OverflowError:  # beyond 64 bits
            return pd.Series(entries, dtype=object)
    return pd.Series(entries)
