"""Root attributes of a record, stored as netCDF can hold them.

A plain reader of the zarr tree can therefore write it as netCDF: None is left out, and
what has a structure is JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

STRUCTURED = frozenset(("provenance", "until", "headline", "headline_errors"))
"""Attributes that are JSON text; stores of earlier versions have them as JSON."""


def netcdf_attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes that netCDF can hold.

    Numbers and texts stay, None is left out, all else becomes JSON.

    Example:
        >>> netcdf_attrs({"seed": 0, "x64": True, "fields": {"a": 1}, "steps": None})
        {'seed': 0, 'x64': 'true', 'fields': '{"a": 1}'}
    """
    return {
        str(name): value if _is_plain(value) else json.dumps(value)
        for name, value in attrs.items()
        if value is not None
    }


def parse_root(content: bytes) -> dict[str, Any]:
    """Return the attributes in the metadata of a root group, with their structure.

    Raises:
        ValueError, KeyError: if the metadata are damaged.
    """
    attrs = json.loads(content)["attributes"]
    return {
        name: json.loads(value) if _is_encoded(name, value) else value
        for name, value in attrs.items()
    }


def update_root(root: Any, attrs: Mapping[str, Any]) -> None:
    """Set attributes of a root group in one write; None removes one.

    Those that an earlier version wrote are encoded, too.
    """
    merged = {**root.attrs, **attrs}
    for name in (name for name, value in merged.items() if value is None):
        root.metadata.attributes.pop(name, None)  # zarr's own clears all meanwhile
    root.update_attributes(netcdf_attrs(merged))


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _is_encoded(name: str, value: Any) -> bool:
    return name in STRUCTURED and isinstance(value, str)
