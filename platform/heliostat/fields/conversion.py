"""Types of the fields of tasks: arguments are converted to them, or refused.

A value is converted where nothing is lost: numpy's scalars and 0-d arrays are numbers,
lists are tuples, a path is text, and text is a file where a file is declared.
"""

from __future__ import annotations

import functools
import inspect
import math
import os
import sys
import types
import typing
from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin

from heliostat.errors import RequestError, did_you_mean


class File(str):
    """Path of an input file; a run's identity holds the SHA-256 of its content.

    A field of this type accepts text and paths. The identity has ``sha256:…`` in its
    place: a copy of the file gives the same run, an edited file another. To resume or
    replay, the file must be at its path.

    Example:
        >>> import heliostat as hs
        >>> hs.File("data/water.xyz").path.name
        'water.xyz'
    """

    @property
    def path(self) -> Path:
        """The path, with ``~`` expanded."""
        return Path(self).expanduser()


class TaskType(ABCMeta):
    """Type of task classes: calling one converts its arguments to declared types.

    Raises:
        RequestError: for an unknown, missing or superfluous argument, and for a value
            that does not fit its field.
    """

    if not TYPE_CHECKING:  # checkers read the signature of each class

        def __call__(cls, *values, **named):
            arguments = _bound(cls, values, named)
            hints = field_hints(cls)
            for name in arguments.arguments.keys() & hints.keys():
                value = arguments.arguments[name]
                arguments.arguments[name] = coerce(value, hints[name], name)
            return super().__call__(*arguments.args, **arguments.kwargs)


def _bound(
    cls: type, values: Sequence[Any], named: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Bind arguments to the parameters of a constructor, with advice if they differ."""
    signature = _signature(cls)
    parameters = signature.parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in () if takes_all else named:
        if name not in parameters:
            hint = (
                did_you_mean(name, parameters) or f"; there are {', '.join(parameters)}"
            )
            if name in inspect.get_annotations(cls):
                hint = "; write @dataclass(frozen=True) above the class"
            raise RequestError(f"{cls.__name__} has no field '{name}'{hint}")
    try:
        return signature.bind(*values, **named)
    except TypeError as error:
        raise RequestError(f"{cls.__name__}: {error}") from error


@cache
def _signature(cls: type) -> inspect.Signature:
    _, *others = inspect.signature(cls.__init__).parameters.values()
    return inspect.Signature(others)


@cache
def field_hints(cls: type) -> Mapping[str, Any]:
    """Return the types of the fields of a dataclass that can be evaluated.

    On a worker, a class that travels as code may lack the names of some.
    """
    hints = {}
    for field in fields(cls):
        try:
            hints[field.name] = field_type(cls, field.name)
        except NameError:
            continue
    return hints


def field_type(cls: type, name: str) -> Any:
    """Return the type of one field; the types of other fields are not evaluated.

    Raises:
        NameError: if its annotation names something that the module does not have.
    """
    owner = next(c for c in cls.__mro__ if name in vars(c).get("__annotations__", {}))
    alone = types.SimpleNamespace(__annotations__={name: owner.__annotations__[name]})
    module = vars(sys.modules.get(owner.__module__, typing))
    return typing.get_type_hints(alone, module)[name]


def coerce(value: Any, hint: Any, name: str) -> Any:
    """Convert a value to the annotated type, if that is lossless.

    Args:
        value: the value, as a person types it.
        hint: the type of the field.
        name: the name of the field, for messages.

    Returns:
        The value in its declared type.

    Raises:
        RequestError: for a value outside the type, with what to do.

    Example:
        >>> import numpy as np
        >>> coerce(np.float32(0.5), float, "lr"), coerce([16, 16], tuple[int, ...], "n")
        (0.5, (16, 16))
    """
    if hint is Any:
        return value
    value, origin, args = plain(value), get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        return _one_of(value, [a for a in args if a is not type(None)], name)
    if origin is Literal and _is_one_of(value, args):
        return value
    if origin is tuple and _is_sequence(value):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(coerce(v, k, name) for v, k in zip(value, kinds, strict=True))
    if hint is float and is_number(value):
        return float(cast(float, value))
    if hint in (int, bool) and type(value) is hint:
        return value
    if _is_text(hint) and isinstance(value, str):
        return value if type(value) is hint else hint(value)
    raise RequestError(_refusal(value, hint, name))


def is_number(value: Any) -> bool:
    """Return True for a finite int or float that is not a bool."""
    return type(value) in (int, float) and math.isfinite(value)


def plain(value: Any) -> Any:
    """Convert scalars of NumPy, JAX and xarray, 0-d arrays and paths to plain Python.

    Example:
        >>> import numpy as np
        >>> plain(np.array(0.5)), plain(Path("a.npy"))
        (0.5, 'a.npy')
    """
    if isinstance(value, os.PathLike):
        return os.fspath(cast("os.PathLike[str]", value))
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple | range) or getattr(value, "ndim", 0) == 1


def _is_text(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, str)


def _is_one_of(value: Any, choices: Sequence[Any]) -> bool:
    return isinstance(value, str | int | float | None) and value in choices


def _one_of(value: Any, hints: Sequence[Any], name: str) -> Any:
    """Convert a value to the first hint (words), or else to the second (code)."""
    words, *more = hints
    if not more or _is_one_of(value, get_args(words)):
        return coerce(value, words, name)
    try:
        return coerce(value, more[0], name)
    except RequestError:
        if callable(value) or (isinstance(value, str) and ":" in value):
            raise
        return coerce(value, words, name)  # raises the error of the words


def _refusal(value: Any, hint: Any, name: str) -> str:
    """Return the message about a value that does not fit its field."""
    if get_origin(hint) is Literal:
        choices = list(map(str, get_args(hint)))
        hint_text = did_you_mean(str(value), choices)
        return (
            f"{name}={_shown(value)}: expected one of {', '.join(choices)}{hint_text}"
        )
    if hint is File and hasattr(value, "shape"):
        file = f"'{name}.npy'"
        advice = f"write np.save({file}, array), then {name}={file}"
        return f"{name}={_shown(value)}: expected the path of a file; {advice}"
    if _is_text(hint) and hint not in (str, File) and callable(value):
        address = _code_address(value)
        return f"{name}={_shown(value)}: expected FILE.py:NAME, as {name}={address!r}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{name}={value}: expected a finite number"
    kind = getattr(hint, "__name__", str(hint)).lower()
    article = "an" if kind[0] in "aeiou" else "a"
    return f"{name}={_shown(value)}: expected {article} {kind}"


def _code_address(function: Callable[..., Any]) -> str:
    """Return ``FILE.py:NAME`` of a function, as far as its file is known."""
    name = getattr(function, "__name__", "")
    name = name if name.isidentifier() else "log_p"
    wrapper = isinstance(function, functools.partial)  # its module is functools
    module_name = None if wrapper else getattr(function, "__module__", None)
    module = sys.modules.get(module_name or "")
    file = getattr(module, "__file__", None)
    return f"{os.path.relpath(file) if file else f'{name}.py'}:{name}"


def _shown(value: Any) -> str:
    """Return a value as text for a message: an array by its shape, a long one cut."""
    if isinstance(shape := getattr(value, "shape", None), tuple) and shape:
        return f"{type(value).__name__} of shape {shape}"
    if callable(value):
        return f"{type(value).__name__} {getattr(value, '__name__', value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
