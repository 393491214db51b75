"""Conversion of the fields of a task to command-line options, and back.

A field ``burn_in: int`` is ``--burn-in 300``, a truth value ``--smooth`` or
``--no-smooth``, a tuple ``--layers 16 16`` (alone, ``--layers`` is the empty one), and
``None`` is ``--no-spin`` (``--none-smooth`` for a truth value).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter, Token

from heliostat import config
from heliostat.config import Field, registry
from heliostat.config.code import Code
from heliostat.errors import RequestError
from heliostat.task import Task

Fields = Mapping[str, Any]
"""Type of a verb's parameter that receives the fields of its task."""

NO_FIELDS: Fields = MappingProxyType({})

QUIET: Any = {"exit_on_error": False, "print_error": False}


@contextmanager
def without_pydantic() -> Generator[None]:
    """Hide pydantic: if it is imported, Cyclopts validates all values with it, by other
    rules and with other messages."""
    pydantic = sys.modules.pop("pydantic", None)
    try:
        yield
    finally:
        if pydantic:
            sys.modules["pydantic"] = pydantic


def parse_fields(task: type[Task], argv: Sequence[str]) -> dict[str, Any]:
    """Parse command-line fields into plain values for :func:`config.build`.

    Example:
        >>> from heliostat_tasks.discrete import Discrete
        >>> parse_fields(Discrete, ["--target", "potts", "--step-size=2"])
        {'target': 'potts', 'step_size': 2.0}
    """

    def command(*, fields: Fields = NO_FIELDS) -> Fields:
        return fields

    app = App(help_flags=(), version_flags=())
    app.default(with_task_options(command, task))
    try:
        with without_pydantic():
            _, bound, _ = app.parse_args(list(argv), **QUIET)
        return dict(bound.arguments.get("fields", NO_FIELDS))
    except CycloptsError as error:
        raise RequestError(" ".join(str(error).split())) from error


def to_argv(task: Task) -> list[str]:
    """Return the options that specify a task, without default values."""
    words = []
    for name, field in config.fields_of(type(task)).items():
        value, dashed = getattr(task, name), name.replace("_", "-")
        if value == field.default and type(value) is type(field.default):
            continue
        if value is None:
            words.append(f"--{_none_prefix(field)}{dashed}")
        elif value is False:
            words.append(f"--no-{dashed}")
        elif value is True or value == ():
            words.append(f"--{dashed}")
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"--{dashed}={v}" for v in several]
    return words


def with_task_options(verb: Callable[..., Any], task: type[Task]) -> Callable[..., Any]:
    """Return a verb whose ``fields`` are the options of one task."""

    def command(*args: Any, **options: Any) -> Any:
        return verb(*args, **options)

    signature = inspect.signature(verb, eval_str=True)
    options = Annotated[_options(task), Parameter(name="*")]
    parameters = [
        p.replace(annotation=options) if p.name == "fields" else p
        for p in signature.parameters.values()
    ]
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    vars(command)["__signature__"] = signature.replace(parameters=parameters)
    return command


def _options(task: type[Task]) -> Any:
    """Return a TypedDict with an optional key for each field."""
    group = Group(f"Fields of {registry.name_of(task)}", sort_key=1)
    keys = {n: _option(f, group) for n, f in config.fields_of(task).items()}
    return TypedDict("Options", keys, total=False)  # pyright: ignore


def _option(field: Field, group: Group) -> Any:
    kind = _kind(field.type)
    several = get_origin(kind) is tuple
    if several:  # of any length; config.build checks the length
        parts = (_typed(a) for a in get_args(kind) if a is not Ellipsis)
        element = Union[tuple(parts)]  # noqa: UP007
        kind = tuple[element, ...]
    about = f"{field.help} [{_default(field)}]".strip()
    if several_kinds := _words_or_code(field.type):
        kind, about = str, f"{about} [choices: {several_kinds}]"
    parameter = Parameter(
        name=f"--{field.name.replace('_', '-')}",
        help=about,
        group=group,
        converter=None if kind is bool else _reader(field.type),
        consume_multiple=several,
        negative_bool="no-",
        negative_none=_none_prefix(field),
        negative_iterable=(),
    )
    kind = _typed(kind)
    return Annotated[Union[kind, None] if _optional(field.type) else kind, parameter]  # noqa: UP007


def _words_or_code(hint: Any) -> str:
    """Return the choices of a hint like ``Literal["a", "b"] | Code``; else nothing."""
    literal, *more = [a for a in get_args(hint) if a is not type(None)] or [None]
    words = get_args(literal) if get_origin(literal) is Literal else ()
    return f"{', '.join(map(str, words))}, FILE.py:NAME" if words and more else ""


def _typed(kind: Any) -> Any:
    """Return the type on the command line: code is text, which config.build reads."""
    return str if kind is Code else kind


def _default(field: Field) -> str:
    if field.default is MISSING:
        return "required"
    several = isinstance(field.default, tuple)
    shown = " ".join(map(str, field.default)) if several else str(field.default)
    return f"default: {shown or 'empty'}"


def _reader(hint: Any) -> Callable[[Any, Sequence[Token]], Any]:
    """Return a converter to plain values; words that do not convert stay text."""
    kind = _kind(hint)

    def read(_: Any, tokens: Sequence[Token]) -> Any:
        words = [token.value for token in tokens]
        if get_origin(kind) is not tuple:
            return _plain(kind, words[0])
        kinds = get_args(kind)
        if kinds[-1] is Ellipsis or len(kinds) != len(words):
            kinds = kinds[:1] * len(words)
        return [_plain(k, word) for k, word in zip(kinds, words, strict=True)]

    return read


def _plain(kind: Any, word: str) -> Any:
    if get_origin(kind) is Literal:
        return next((c for c in get_args(kind) if str(c) == word), word)
    if kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            return word
    return word


def _kind(hint: Any) -> Any:
    """Return ``T`` of ``T | None``."""
    if get_origin(hint) in (UnionType, Union):
        return next(a for a in get_args(hint) if a is not type(None))
    return hint


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (UnionType, Union) and type(None) in get_args(hint)


def _none_prefix(field: Field) -> str:
    return "none-" if _kind(field.type) is bool else "no-"
