"""Types of what is read from JSON files of a store: any editor can change them.

No digest binds the root attributes of a record.  ``verify`` compares the headline with
the rows, and lists the others as not bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.config import SCHEMA
from heliostat.errors import StoreError
from heliostat.store.attributes import parse_root
from heliostat.store.damage import END_OF_TIME

TEXT, NUMBER, OBJECT = (str,), (int, float), (dict,)
NONE = (type(None),)

REQUIRED: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("task", "replica_dim", "step_dim", "spec_sha256", "status"), TEXT),
    "created": NUMBER,
    "provenance": OBJECT,
}
OPTIONAL: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("asked", "ended"), NUMBER),
    **dict.fromkeys(("until", "headline"), OBJECT + NONE),
    "reason": TEXT + NONE,
    "steps": (int, *NONE),
    "headline_version": (int,),
    "headline_errors": (list, *OBJECT, *NONE),
}
UNTIL: dict[str, tuple[type, ...]] = {
    "condition": TEXT,
    "met": (bool, *NONE),
    "step": (int, *NONE),
}


def check_schema(attrs: Mapping[str, Any], subject: str) -> None:
    """Check that the root attributes of a record are of this schema.

    Raises:
        StoreError: if they are of another one.
    """
    if (schema := attrs.get("schema")) != SCHEMA:
        message = f"{subject}: schema {schema!r:.40}; this heliostat reads {SCHEMA}"
        raise StoreError(message)


def parse_checked_root(content: bytes, subject: str) -> dict[str, Any]:
    """Return the attributes in the metadata of a root group, checked.

    Raises:
        ValueError, KeyError: if the metadata are damaged.
        StoreError: if an attribute is missing or has another type.
    """
    attrs = parse_root(content)
    check_attrs(attrs, subject)
    return attrs


def check_attrs(attrs: Mapping[str, Any], subject: str) -> None:
    """Check types, and that nothing is missing.

    Raises:
        StoreError: "``subject`` is damaged", naming the first attribute; or if they are
            of another schema.
    """
    check_schema(attrs, subject)
    types = REQUIRED | {name: OPTIONAL[name] for name in OPTIONAL if name in attrs}
    check_types(attrs, types, subject)
    for name in ("created", "asked", "ended"):
        if not 0 <= attrs.get(name, 0) < END_OF_TIME:
            raise StoreError(f"{subject} is damaged ({name} is {attrs[name]})")
    if attrs.get("until"):
        check_types(attrs["until"], UNTIL, f"{subject}: until")
    check_headline(attrs.get("headline") or {}, subject)


def check_headline(headline: Any, subject: str) -> None:
    """Check the JSON values of estimates by name.

    Raises:
        StoreError: "``subject`` is damaged", naming the first estimate.
    """
    if not isinstance(headline, dict):
        raise StoreError(f"{subject} is damaged (the headline is {headline!r:.40})")
    for name, entry in headline.items():
        if not (isinstance(entry, list) and _is_estimate(*entry)):
            raise StoreError(
                f"{subject} is damaged (the headline's {name} is {entry!r:.40})"
            )


def check_types(
    values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], subject: str
) -> None:
    """Check that values are there and have their types.

    Raises:
        StoreError: "``subject`` is damaged", naming the first value that is not.
    """
    for name, expected in types.items():
        if name not in values:
            raise StoreError(f"{subject} is damaged ({name} is missing)")
        if not isinstance(values[name], expected):
            raise StoreError(f"{subject} is damaged ({name} is {values[name]!r:.40})")


def _is_estimate(*entry: Any) -> bool:
    """Return True for value, error and texts; a text for a number is infinity."""
    try:
        pair = [float(value or 0) for value in entry[:2]]
    except (TypeError, ValueError, OverflowError):
        return False
    texts = entry[2:]
    return len(pair) == 2 and len(texts) <= 4 and all(isinstance(t, str) for t in texts)
