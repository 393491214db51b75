"""Root attributes of a record, checked when they are read: any editor can change them.

No digest covers them.  ``verify`` compares the headline with the rows, and lists the
others as not covered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.errors import StoreError
from heliostat.store.damage import END_OF_TIME

TEXT, NUMBER, OBJECT = (str,), (int, float), (dict,)
NONE = (type(None),)

REQUIRED: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("task", "replica_dim", "step_dim", "spec_sha256", "status"), TEXT),
    "created": NUMBER,
    "provenance": OBJECT,
}
OPTIONAL: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("asked", "ended"), NUMBER),
    **dict.fromkeys(("until", "headline"), OBJECT + NONE),
    "reason": TEXT + NONE,
    "steps": (int, *NONE),
}
UNTIL: Mapping[str, tuple[type, ...]] = {
    "condition": TEXT,
    "met": (bool, *NONE),
    "step": (int, *NONE),
}
ESTIMATE = (NUMBER + TEXT + NONE, NUMBER + TEXT + NONE, TEXT, TEXT)
"""Types of value, error, unit and source; a text in place of a number is infinity."""


def check_attrs(attrs: Mapping[str, Any], subject: str) -> None:
    """Check types, and that nothing is missing.

    Raises:
        StoreError: "``subject`` is damaged", naming the first attribute.
    """
    types = REQUIRED | {name: OPTIONAL[name] for name in OPTIONAL if name in attrs}
    _check(attrs, types, subject)
    for name in ("created", "asked", "ended"):
        if not 0 <= attrs.get(name, 0) < END_OF_TIME:
            raise StoreError(f"{subject} is damaged ({name} is {attrs[name]})")
    if attrs.get("until"):
        _check(attrs["until"], UNTIL, f"{subject}: until")
    check_headline(attrs.get("headline") or {}, subject)


def check_headline(headline: Any, subject: str) -> None:
    """Check the JSON values of estimates by name.

    Raises:
        StoreError: "``subject`` is damaged", naming the first estimate.
    """
    if not isinstance(headline, dict):
        raise StoreError(f"{subject} is damaged (the headline is {headline!r:.40})")
    for name, entry in headline.items():
        if not (
            isinstance(entry, list)
            and len(entry) == len(ESTIMATE)
            and all(map(isinstance, entry, ESTIMATE))
            and all(_is_float(value) for value in entry[:2])
        ):
            raise StoreError(
                f"{subject} is damaged (the headline's {name} is {entry!r:.40})"
            )


def _check(
    values: Mapping[str, Any], types: Mapping[str, tuple[type, ...]], subject: str
) -> None:
    for name, expected in types.items():
        if name not in values:
            raise StoreError(f"{subject} is damaged ({name} is missing)")
        if not isinstance(values[name], expected):
            raise StoreError(f"{subject} is damaged ({name} is {values[name]!r:.40})")


def _is_float(value: Any) -> bool:
    try:
        float(value or 0)
    except (ValueError, OverflowError):
        return False
    return True
