"""Axes as they are typed: ``outer_lr=0.01,0.02``, ``layers=(16,16),(32,)``,
``lr=1e-4..1e-1`` or ``lr=1e-4..1e-1:log``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import yaml

from heliostat import config
from heliostat.config import presets
from heliostat.errors import RequestError
from heliostat.sweeps.axes import Range
from heliostat.task import Task

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:(:log)|:linear)?")


def typed(task: type[Task], words: Sequence[str]) -> dict[str, list[Any] | Range]:
    """Axes as they are typed, ``NAME=VALUE,VALUE`` or ``NAME=LOW..HIGH[:log]``.

    Raises:
        RequestError: for words that are none of that.
    """
    axes: dict[str, list[Any] | Range] = {}
    for word in words:
        name, given, text = word.partition("=")
        name = name.strip().replace("-", "_")
        if not given or not name:
            raise RequestError(
                f"over '{word}': expected FIELD=VALUE,VALUE or FIELD=LOW..HIGH[:log]"
            )
        if name in axes:
            raise RequestError(f"over: {name} is given twice")
        axes[name] = _typed_range(text) or _typed_values(task, name, text)
    return axes


def _typed_range(text: str) -> Range | None:
    """
    Example:
        >>> _typed_range("1e-4..1e-2:log"), _typed_range("0.1,0.2")
        (Range(low=0.0001, high=0.01, log=True), None)
    """
    found = RANGE.fullmatch(text.strip())
    return Range(float(found[1]), float(found[2]), bool(found[3])) if found else None


def _typed_values(task: type[Task], name: str, text: str) -> list[Any]:
    parts = _parts(text) if text.strip() else []
    if "" in parts:
        raise RequestError(f"over '{name}={text}': there is nothing between two commas")
    return [_value(task, name, part) for part in parts]


def _parts(text: str) -> list[str]:
    """What stands between commas, but for those in brackets.

    Example:
        >>> _parts("(16, 16),(32,)")
        ['(16, 16)', '(32,)']
    """
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "([") - (sign in ")]")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def _value(task: type[Task], name: str, word: str) -> Any:
    """A word as YAML reads it, where the field takes that; else the word itself."""
    if word[0] in "([" and word[-1] in ")]":
        inner = [part for part in _parts(word[1:-1]) if part]  # "(16,)" is one number
        return [_value(task, name, part) for part in inner]
    try:
        found = yaml.load(word, Loader=presets.Loader)
    except yaml.YAMLError:
        return word
    known = config.fields_of(task)
    takes_text = name in known and str in {
        known[name].type,
        *get_args(known[name].type),
    }
    return word if takes_text and found is not None else found
