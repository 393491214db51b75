"""What a sweep goes over: fields with values listed, or a range to draw them from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
import yaml

from heliostat import config
from heliostat.config import presets, registry
from heliostat.errors import RequestError, did_you_mean
from heliostat.task import Task

SEED = "seed"
"""The axis that is no field: the run's own seed, crossed with everything."""

Values = tuple[Any, ...]


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, ends included for a whole-number field.

    Args:
        log: evenly in the logarithm.

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
        """The number at a share of the way, ``0 <= share < 1``."""
        low, high = (self.low, self.high + 1) if whole else (self.low, self.high)
        if self.log:
            ends = math.log(low), math.log(high)
            found = math.exp(ends[0] + share * (ends[1] - ends[0]))
        else:
            found = low + share * (high - low)
        return min(math.floor(found), int(self.high)) if whole else self.short(found)

    def short(self, value: float) -> float:
        """A value with twelve digits, inside the range: ids should not hang on the last
        bit of a logarithm. Whole numbers stay as they are.

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
    task: type[Task], over: Mapping[str, Iterable[Any] | Range], drawn: bool
) -> dict[str, Axis]:
    """The axes of a sweep, each value as its field has it.

    Args:
        drawn: whether ranges make sense: not in a grid.

    Raises:
        RequestError: for an unknown field (with a suggestion), no or repeated values, a
            range that is none, and a value outside the type of its field.
    """
    if not over:
        raise RequestError("over: expected at least one field with its values")
    known = config.fields_of(task)
    axes: dict[str, Axis] = {}
    for name, given in over.items():
        if name != SEED and name not in known:
            hint = did_you_mean(name, [*known, SEED])
            hint = hint or f"; its fields are {', '.join(known)}"
            raise RequestError(
                f"over: {registry.name_of(task)} has no field '{name}'{hint}"
            )
        if isinstance(given, Range):
            axes[name] = _range(task, name, given, drawn)
        else:
            axes[name] = _listed(task, name, given)
    return axes


def is_whole(task: type[Task], name: str) -> bool:
    """Whether a field takes whole numbers only.

    Raises:
        RequestError: if it takes no numbers.
    """
    hint = config.fields_of(task)[name].type
    kinds = {hint, *get_args(hint)}
    if not kinds & {int, float}:
        raise RequestError(f"over {name}: a range is for numbers, list the values")
    return float not in kinds


def _listed(task: type[Task], name: str, given: Any) -> Values:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise RequestError(f"over {name}: expected several values, got {given!r}")
    values: list[Any] = []
    for value in given:
        made = _as_field(task, name, value)
        if made in values:
            raise RequestError(f"over {name}: {made!r} is given twice")
        values.append(made)
    if not values:
        raise RequestError(f"over {name}: expected at least one value")
    return tuple(values)


def _range(task: type[Task], name: str, given: Range, drawn: bool) -> Range:
    if name == SEED:
        raise RequestError(f"over seed={given}: seeds are listed, as in seed=0,1,2")
    whole, (low, high, log) = is_whole(task, name), given
    if not drawn:
        raise RequestError(
            f"over {name}={given}: a grid wants values, as in {name}={low:g},{high:g}; "
            "a range wants search random, sobol or another, and trials"
        )
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise RequestError(f"over {name}={given}: expected LOW < HIGH")
    if log and low <= 0:
        raise RequestError(f"over {name}={given}: a logarithm wants LOW > 0")
    if whole and not (float(low).is_integer() and float(high).is_integer()):
        raise RequestError(f"over {name}={given}: expected whole numbers")
    return given


def _as_field(task: type[Task], name: str, value: Any) -> Any:
    """A value as its field has it."""
    value = value.item() if isinstance(value, np.generic) else value
    if name != SEED:
        return config.as_field(task, name, value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise RequestError(
            f"over seed: {value!r}: expected integers from 0 to 2^63 - 1"
        )
    return value


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:(:log)|:linear)?")


def parse_axes(task: type[Task], texts: Sequence[str]) -> dict[str, list[Any] | Range]:
    """Axes as they are typed, ``NAME=VALUE,VALUE`` or ``NAME=LOW..HIGH[:log]``.

    Raises:
        RequestError: for words that are none of that.
    """
    axes: dict[str, list[Any] | Range] = {}
    for word in texts:
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
