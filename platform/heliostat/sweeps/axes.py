"""Axes of a sweep: fields with their listed values, or a range to draw from.

On the command line they read ``outer_lr=0.01,0.02``, ``layers=(16,16),(32,)``,
``lr=1e-4..1e-1`` or ``lr=1e-4..1e-1:log``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import yaml

from heliostat import config
from heliostat.config import registry
from heliostat.errors import RequestError, did_you_mean
from heliostat.fields import presets
from heliostat.fields.conversion import plain
from heliostat.task import Task

SEED = "seed"
"""The axis that is not a field: the run's own seed, crossed with everything."""

Values = tuple[Any, ...]


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, ends included for an integer field.

    Args:
        low: the smallest number, in the unit of the field.
        high: the largest number.
        log: draw evenly in the logarithm.

    Example:
        >>> Range(1e-4, 1e-2, log=True).at(0.5, whole=False)
        0.001
        >>> [Range(1, 4).at(u, whole=True) for u in (0.0, 0.3, 0.99)]
        [1, 2, 4]
    """

    low: float
    high: float
    log: bool = False

    def at(self, share: float, whole: bool) -> float:
        """Return the number at a share of the way.

        Args:
            share: ``0 <= share < 1``.
            whole: return an integer, with ``high`` as likely as the others.

        Returns:
            A float of at most twelve digits, or an integer.
        """
        low, high = (self.low, self.high + 1) if whole else (self.low, self.high)
        if self.log:
            ends = math.log(low), math.log(high)
            value = math.exp(ends[0] + share * (ends[1] - ends[0]))
        else:
            value = low + share * (high - low)
        return min(math.floor(value), int(self.high)) if whole else self.short(value)

    def short(self, value: float) -> float:
        """Round to twelve digits inside the range, so that ids do not depend on the
        last bit of a logarithm.

        Args:
            value: inside the range.

        Returns:
            The rounded value; an integer as it is.

        Example:
            >>> Range(0, 1).short(2 / 3), Range(0, 2 / 3).short(2 / 3)
            (0.666666666667, 0.6666666666666666)
        """
        if isinstance(value, int):
            return value
        return float(min(max(float(f"{value:.12g}"), self.low), self.high))

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{':log' if self.log else ''}"


Axis = Values | Range


def check_axes(
    task: type[Task], over: Mapping[str, Iterable[Any] | Range], ranges: bool
) -> dict[str, Axis]:
    """Return the axes of a sweep, each value converted by its field.

    Args:
        ranges: accept ranges.

    Raises:
        RequestError: for an unknown field (with a suggestion), no or repeated values,
            an invalid range, and a value outside the type of its field.
    """
    if not (isinstance(over, Mapping) and over):
        example = "over={'seed': [0, 1]}"
        raise RequestError(
            f"over {over!r}: expected at least one field with its values, as {example}"
        )
    fields = config.fields_of(task)
    axes: dict[str, Axis] = {}
    for name, values in over.items():
        if name != SEED and name not in fields:
            hint = did_you_mean(name, [*fields, SEED])
            hint = hint or f"; its fields are {', '.join(fields)}"
            raise RequestError(
                f"over: {registry.name_of(task)} has no field '{name}'{hint}"
            )
        if isinstance(values, Range):
            axes[name] = _check_range(task, name, values, ranges)
        else:
            axes[name] = _check_values(task, name, values)
    return axes


def is_whole(task: type[Task], name: str) -> bool:
    """Return True if a field takes integers only.

    Raises:
        RequestError: if it takes no numbers.
    """
    hint = config.fields_of(task)[name].type
    kinds = {hint, *get_args(hint)}
    if not kinds & {int, float}:
        raise RequestError(f"over {name}: a range is for numbers, list the values")
    return float not in kinds


def value_at(task: type[Task], name: str, axis: Axis, share: float) -> Any:
    """Return the value at a share of the way along an axis, ``0 <= share < 1``."""
    if isinstance(axis, Range):
        return axis.at(share, is_whole(task, name))
    return axis[int(share * len(axis))]


def _check_values(task: type[Task], name: str, given: Any) -> Values:
    given = plain(given)
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise RequestError(f"over {name}: expected several values, got {given!r}")
    values: list[Any] = []
    for item in given:
        value = _as_field(task, name, item)
        if value in values:
            raise RequestError(f"over {name}: {value!r} is given twice")
        values.append(value)
    if not values:
        raise RequestError(f"over {name}: expected at least one value")
    return tuple(values)


def _check_range(task: type[Task], name: str, axis: Range, ranges: bool) -> Range:
    if name == SEED:
        raise RequestError(f"over seed={axis}: seeds are listed, as in seed=0,1,2")
    whole, (low, high, log) = is_whole(task, name), axis
    if not ranges:
        raise RequestError(
            f"over {name}={axis}: a grid needs values, as in {name}={low:g},{high:g}; "
            "a range needs search random, sobol or another, and trials"
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RequestError(f"over {name}={axis}: expected LOW < HIGH")
    if log and low <= 0:
        raise RequestError(f"over {name}={axis}: a logarithm needs LOW > 0")
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise RequestError(f"over {name}={axis}: expected whole numbers")
    return axis


def _as_field(task: type[Task], name: str, value: Any) -> Any:
    value = plain(value)
    if name != SEED:
        return config.coerce_field(task, name, value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise RequestError(
            f"over seed: {value!r}: expected integers from 0 to 2^63 - 1"
        )
    return value


# -- axes on the command line ----------------------------------------------------------

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:(:log)|:linear)?")


def parse_axes(task: type[Task], texts: Sequence[str]) -> dict[str, list[Any] | Range]:
    """Parse axes, ``NAME=VALUE,VALUE`` or ``NAME=LOW..HIGH[:log]``.

    Raises:
        RequestError: for a text of neither form.
    """
    axes: dict[str, list[Any] | Range] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise RequestError(
                f"over '{text}': expected FIELD=VALUE,VALUE or FIELD=LOW..HIGH[:log]"
            )
        if name in axes:
            raise RequestError(f"over: {name} is given twice")
        axes[name] = _parse_range(values) or _parse_values(task, name, values)
    return axes


def _parse_range(text: str) -> Range | None:
    """Return the range, or None for a text that is none.

    Example:
        >>> _parse_range("1e-4..1e-2:log"), _parse_range("0.1,0.2")
        (Range(low=0.0001, high=0.01, log=True), None)
    """
    match = RANGE.fullmatch(text.strip())
    return Range(float(match[1]), float(match[2]), bool(match[3])) if match else None


def _parse_values(task: type[Task], name: str, text: str) -> list[Any]:
    parts = _split(text) if text.strip() else []
    if "" in parts:
        raise RequestError(f"over '{name}={text}': there is nothing between two commas")
    return [_parse_value(task, name, part) for part in parts]


def _split(text: str) -> list[str]:
    """Split at commas outside brackets.

    Example:
        >>> _split("(16, 16),(32,)")
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


def _parse_value(task: type[Task], name: str, word: str) -> Any:
    """Return a word as YAML reads it, or None; a text field keeps the word itself."""
    if word[0] in "([" and word[-1] in ")]":
        inner = [part for part in _split(word[1:-1]) if part]  # "(16,)" is one number
        return [_parse_value(task, name, part) for part in inner]
    fields = config.fields_of(task)
    hint = fields[name].type if name in fields else int
    if word == "None" and type(None) in get_args(hint):
        return None
    try:
        value = yaml.load(word, Loader=presets.Loader)
    except yaml.YAMLError:
        return word
    takes_text = str in {hint, *get_args(hint)}
    return word if takes_text and value is not None else value
