"""Content of what a user's code defines: numbers and arrays, compared or digested.

Functions are followed into their defaults, closures and the globals that they name;
objects into the parts that a copy of them would have.  What cannot be copied, such as a
lock or an open file, and objects of unknown libraries have no content.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from types import CodeType, FunctionType, ModuleType
from typing import Any

LIBRARIES = frozenset(
    (
        "builtins collections datetime decimal fractions functools heliostat "
        "heliostat_tasks jax jaxlib numpy pandas random scipy uuid xarray"
    ).split()
)
"""Packages whose objects are compared part by part."""

Leaf = tuple[str, bytes]
"""Nearest name, and the bytes of a number, a text or an array."""


def leaves(value: Any, name: str, module: str) -> list[Leaf]:
    """List the content of an object.

    Args:
        value: the object.
        name: its name.
        module: name of the user's module, whose own functions and classes are followed.

    Example:
        >>> leaves({"n": 2, "f": abs}, "table", "mine")
        [('table', b"'n'"), ('table', b'2'), ('table', b"'f'")]
    """
    return list(_Content(module).walk(value, name))


def digest(content: list[Leaf]) -> str:
    """Return the SHA-256 of a content, in hexadecimal."""
    parts = (f"{name}|{len(part)}|".encode() + part for name, part in content)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def difference(one: list[Leaf], two: list[Leaf]) -> str:
    """Return the name of the first difference between two contents; "" if none."""
    for a, b in zip_longest(one, two, fillvalue=("", b"")):
        if a != b:
            return a[0] or b[0]
    return ""


def names(code: CodeType) -> set[str]:
    """Return the names of globals and attributes in a function's code."""
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*map(names, inner))


class _Content:
    """One walk through an object; each part is visited once."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.seen: dict[int, Any] = {}  # the objects too: an id may be used again

    def walk(self, value: Any, name: str) -> Iterator[Leaf]:
        if value is None or isinstance(value, bool | int | float | complex | str):
            yield name, repr(value).encode()
            return
        if id(value) in self.seen:
            return
        self.seen[id(value)] = value
        if isinstance(value, bytes):
            yield name, value
        elif isinstance(value, tuple | list):
            for part in value:
                yield from self.walk(part, name)
        elif isinstance(value, Mapping):
            for key, part in value.items():
                yield name, repr(key).encode()
                yield from self.walk(part, name)
        elif isinstance(value, set | frozenset):
            yield name, str(sorted(map(repr, value))).encode()
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif hasattr(value, "__wrapped__"):  # jitted, mapped or cached
            yield from self.walk(value.__wrapped__, name)
        elif hasattr(value, "dtype") and hasattr(value, "__array__"):
            yield from self._array(value, name)
        elif not isinstance(value, ModuleType):
            yield from self._object(value, name)

    def _function(self, function: FunctionType) -> Iterator[Leaf]:
        closure = inspect.getclosurevars(function).nonlocals.items()
        defaults = function.__defaults__, function.__kwdefaults__
        parts: list[tuple[str, Any]] = [(function.__name__, defaults), *closure]
        if function.__module__ == self.module:
            table = function.__globals__
            used = sorted(names(function.__code__) & set(table))
            parts += [(name, table[name]) for name in used]
        for name, part in parts:
            yield from self.walk(part, name)

    def _class(self, cls: type) -> Iterator[Leaf]:
        if cls.__module__ != self.module:
            return
        for name, part in list(vars(cls).items()):  # to look at a class may extend it
            if name not in ("__module__", "__annotations__"):
                part = getattr(part, "__func__", getattr(part, "fget", part))
                yield from self.walk(part, name)

    def _array(self, value: Any, name: str) -> Iterator[Leaf]:
        import numpy as np  # late: messages about mistyped options need none

        try:
            array = np.asarray(value)
        except (TypeError, ValueError):  # random keys of JAX
            yield name, repr(value).encode()
            return
        if array.dtype.hasobject:
            yield from self.walk(array.tolist(), name)
        else:
            head = f"{array.dtype.str}{array.shape}".encode()
            yield name, head + np.ascontiguousarray(array).tobytes()

    def _object(self, value: Any, name: str) -> Iterator[Leaf]:
        """Yield the parts that copying an object would copy."""
        module = type(value).__module__
        if module != self.module and module.partition(".")[0] not in LIBRARIES:
            return
        try:
            parts = value.__reduce_ex__(4)
        except Exception:  # what cannot be copied has no content
            return
        if isinstance(parts, tuple):
            _, arguments, *more = parts
            state, *items = [*more, None, None, None][:3]
            yield from self.walk((arguments, state), name)
            for part in items:
                yield from self.walk(list(part or ()), name)
