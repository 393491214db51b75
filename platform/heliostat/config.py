"""Fields <-> command line <-> YAML <-> canonical JSON; and the identity of a run.

The identity is the canonical JSON of (task, task_version, resolved fields, seed, x64,
width, stride), and of the state that a run begins from, if it is another one's.  Its
SHA-256 is the genesis of the run's digest chain, and the first 16 digits of that are
the run's id.  The length is not part of it: more steps extend a run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple, cast, get_args, get_origin, get_type_hints

from heliostat import registry, source
from heliostat.errors import RequestError, did_you_mean
from heliostat.task import File, Task
from heliostat.usercode import REFERENCE, Code

SCHEMA = 1

RESERVED = frozenset(
    (
        "steps seed store workers on gpus x64 until preset config fresh json dry_run "
        "width stride replicas segments over search scheduler metric trials where "
        "task run resume start extend stop watch logs rm gc plot runs show tasks "
        "verify export check sweep report"
    ).split()
)
"""Names of verbs and options; no field may bear one."""


class Field(NamedTuple):
    """One field of a task as its users see it."""

    name: str
    type: Any
    default: Any
    help: str


class Spec(NamedTuple):
    """What defines a run: its identity, and the fields as they were typed."""

    identity: dict[str, Any]
    passed: dict[str, Any]

    @property
    def genesis(self) -> str:
        return hashlib.sha256(canonical_json(self.identity)).hexdigest()

    @property
    def id(self) -> str:
        return self.genesis[:16]


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: keys sorted, no spaces, floats as ``repr``.

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.

    Example:
        >>> canonical_json({"b": (1, 2.0), "a": None})
        b'{"a":null,"b":[1,2.0]}'
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True
    )
    return text.encode()


@cache
def fields_of(task: type[Task]) -> Mapping[str, Field]:
    """The fields of a task with their types, defaults and the comments beside them."""
    hints, comments = get_type_hints(task), source.comments(task)
    fields = {}
    for field in dataclasses.fields(task):
        if field.name in RESERVED:
            raise RequestError(f"{task.__name__}.{field.name}: the name is reserved")
        fields[field.name] = Field(
            field.name,
            hints[field.name],
            field.default,
            comments.get(field.name, ""),
        )
    return fields


def build(task: type[Task], fields: Mapping[str, Any]) -> Task:
    """A task from plain values (of YAML, JSON or the command line), each checked.

    Raises:
        RequestError: naming an unknown field (with a suggestion), a value outside its
            field's type, a field left out, or what the task itself refuses.
    """
    known = fields_of(task)
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known) or f"; its fields are {', '.join(known)}"
            raise RequestError(f"{registry.name_of(task)} has no field '{name}'{hint}")
    values = {name: _coerce(v, known[name].type, name) for name, v in fields.items()}
    for name, field in known.items():
        if field.default is dataclasses.MISSING and name not in values:
            raise RequestError(f"{registry.name_of(task)} needs a value for '{name}'")
    try:
        return task(**values)
    except (ValueError, OSError) as error:
        raise RequestError(str(error)) from error


def as_field(task: type[Task], name: str, value: Any) -> Any:
    """One value as a field of a task has it, checked as :func:`build` does."""
    return _coerce(value, fields_of(task)[name].type, name)


def changed(task: Task, values: Mapping[str, Any]) -> Task:
    """The task with other values of some fields, checked as :func:`build` does."""
    return build(type(task), passed_fields(task) | _with_text(task) | dict(values))


def passed_fields(task: Task) -> dict[str, Any]:
    """Every field of a task as JSON values, as the user gave them."""
    return {f.name: plain(getattr(task, f.name)) for f in dataclasses.fields(task)}


def resolved_fields(task: Task) -> dict[str, Any]:
    """The fields as they enter the identity: files and code by content, names by
    meaning.

    A task whose fields have several spellings of one meaning (a molecule's name, file
    or inline text) defines ``canonical() -> dict`` with the one spelling.
    """
    resolved = passed_fields(task)
    for name, value in resolved.items():
        given = getattr(task, name)
        resolved[name] = _content(name, given) if isinstance(given, File) else value
        if any(_codes(given)):
            resolved[name] = _references(given)
    resolved.update({k: plain(v) for k, v in task.canonical().items()})
    return resolved


def knobs(task: Task) -> dict[str, float]:
    """The numbers of the packable fields, resolved; whole ones as ``int``.

    Raises:
        RequestError: if one is no number.
    """
    resolved = {name: getattr(task, name) for name in task.packable}
    resolved |= {n: v for n, v in task.canonical().items() if n in task.packable}
    found = {}
    for name, value in resolved.items():
        kind = _kind_of_number(type(task), name)
        if kind is None or isinstance(value, bool) or not _is_number(value):
            raise RequestError(f"{name}={value!r}: expected a number, it is packable")
        found[name] = kind(value)
    return found


def specify(
    task: Task,
    seed: int = 0,
    x64: bool = False,
    parent: Mapping[str, Any] | None = None,
) -> Spec:
    """The spec of a run of ``task``: equal specs are one run.

    Args:
        parent: the state that it begins from, as ``lineage`` tells it.

    Raises:
        RequestError: for a seed that is no integer in [0, 2^63) or a malformed task.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise RequestError(f"seed {seed!r}: expected an integer from 0 to 2^63 - 1")
    task = changed(task, {})  # one check for all ways in
    _check(task)
    identity = {
        "schema": SCHEMA,
        "task": registry.name_of(type(task)),
        "task_version": task.task_version,
        "fields": resolved_fields(task),
        "seed": seed,
        "x64": x64,
        "width": task.width,
        "stride": task.stride,
    }
    if parent:
        identity["parent"] = dict(parent)
    if not registry.is_registered(type(task)):
        identity["source"] = source.digest_of(type(task))
    return Spec(identity, passed_fields(task))


def _check(task: Task) -> None:
    """What a task says of itself beside its fields, refused where it makes no sense."""
    name = registry.name_of(type(task))
    if task.replicas < 1 or task.width < 1 or task.stride < 1:
        raise RequestError(
            f"{name}: replicas, width and stride must be >= 1, "
            f"got {task.replicas}, {task.width}, {task.stride}"
        )
    if task.kept is not None and task.kept < 3:
        raise RequestError(f"{name}: kept must be >= 3, got {task.kept}")
    if task.packable:
        _check_packable(task, name)
    for dim, names in task.coords.items():
        if dim in (task.replica_dim, task.step_dim):
            raise RequestError(f"{name}: coords cannot name '{dim}', which is numbered")
        if dim not in (known := _dims(task)):
            hint = did_you_mean(dim, known) or f"; there are {', '.join(sorted(known))}"
            raise RequestError(f"{name}: coords names '{dim}', no dim of a row{hint}")
        different = {n for n in names if isinstance(n, str)}
        if isinstance(names, str) or len(different) < len(names):
            raise RequestError(
                f"{name}: coords of '{dim}' must be different names, got {names!r}"
            )


def _check_packable(task: Task, name: str) -> None:
    """Knobs are numbers, of programs that are compiled for one device."""
    if not task.traced or task.sharded:
        what = "sharded" if task.sharded else "not traced"
        raise RequestError(f"{name}: packable fields, but the task is {what}")
    for field in task.packable:
        if field not in (known := fields_of(type(task))):
            hint = did_you_mean(field, known) or f"; its fields are {', '.join(known)}"
            raise RequestError(f"{name}: packable names '{field}', no field{hint}")
        if _kind_of_number(type(task), field) is None:
            raise RequestError(f"{name}: packable names '{field}', which is no number")
    for field, value in knobs(task).items():
        if isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise RequestError(f"{field}={value}: expected 32 bits, it is packable")


def _dims(task: Task) -> set[str]:
    """Dims of what a task tells, behind those that are numbered."""
    told = (*task.emits.values(), *task.observes.values())
    return {dim for var in told for dim in var.dims}


def rebuild(
    spec: Spec, task: type[Task] | None = None, code: Sequence[Code] = ()
) -> Task:
    """The task that a stored spec describes; the passed spelling where it still holds.

    Code is the exception: of what is stored only its digest is taken, never a path to
    read from, so that opening a store cannot execute anything.  Whoever wants to step
    the task supplies the code.

    Raises:
        RequestError: if the task is not known here, or its fields no longer mean what
            they meant (a file was edited, the task has a new version); also for code
            that is not the run's.
    """
    cls = task or registry.find(spec.identity["task"])
    reason, stored = "its identity differs", _stored_codes(cls, spec)
    supplied = _supplied(spec, stored, code)
    for fields in (spec.passed, spec.identity["fields"]):
        try:
            fields = fields | {n: _replaced(v, supplied) for n, v in stored.items()}
            candidate = build(cls, fields)
            asked = spec.identity["seed"], spec.identity["x64"]
            found = specify(candidate, *asked, spec.identity.get("parent"))
        except RequestError as error:
            reason = str(error)
            continue
        if found.identity == spec.identity:
            return candidate
        reason = _difference(found.identity, spec.identity)
    raise RequestError(f"run {spec.id} cannot be rebuilt: {reason}")


def codes_of(task: Task) -> list[Code]:
    """The code among the fields of a task whose text is there."""
    values = (getattr(task, field.name) for field in dataclasses.fields(task))
    return [code for value in values for code in _codes(value) if code.text is not None]


def _with_text(task: Task) -> dict[str, Any]:
    """The fields that hold code, with its text."""
    fields = {f.name: getattr(task, f.name) for f in dataclasses.fields(task)}
    return {name: value for name, value in fields.items() if any(_codes(value))}


def _codes(value: Any) -> Iterator[Code]:
    """Code in a value, also in a tuple of several."""
    if isinstance(value, Code):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _codes(one)


def _references(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_references(one) for one in value]
    return value.reference if isinstance(value, Code) else plain(value)


def _stored_codes(cls: type[Task], spec: Spec) -> dict[str, Any]:
    """The fields of a stored spec that hold code, as references.

    Raises:
        RequestError: for anything else: no path in a store is ever read.
    """

    def checked(value: Any, name: str) -> Any:
        if isinstance(value, list):
            return tuple(checked(one, name) for one in value)
        if value in words[name]:
            return value
        if value is None or (isinstance(value, str) and REFERENCE.fullmatch(value)):
            return value if value is None else Code(value)
        raise RequestError(f"run {spec.id}: the stored {name} is no digest of code")

    hints = {f.name: f.type for f in fields_of(cls).values() if _is_code(f.type)}
    words = {name: _words(hint) for name, hint in hints.items()}
    stored = spec.identity["fields"]
    return {name: checked(stored.get(name), name) for name in hints}


def _is_code(hint: Any) -> bool:
    return hint is Code or any(map(_is_code, get_args(hint)))


def _words(hint: Any) -> tuple[Any, ...]:
    """The names that a field accepts beside code."""
    parts = [a for a in get_args(hint) if get_origin(a) is Literal]
    return tuple(word for part in parts for word in get_args(part))


def _supplied(
    spec: Spec, stored: Mapping[str, Any], given: Sequence[Code]
) -> dict[str, Code]:
    """What was typed for a run, by its digest: nothing but the run's own code."""
    known = [code for value in stored.values() for code in _codes(value)]
    for code in given:
        if code in known:
            continue
        named = [k for k in known if k.name == code.name]
        if not known:
            raise RequestError(
                f"code '{code}': run {spec.id} has no code in its fields"
            )
        if not named:
            raise RequestError(
                f"code '{code}': run {spec.id} has no code of the name {code.name}, "
                f"its code is {', '.join(k.name for k in known)}"
            )
        raise RequestError(
            f"code '{code}' is not the code of run {spec.id}: the file is now "
            f"{code.reference[:19]}…, the store has {named[0][:19]}…"
        )
    return {code.reference: code for code in given}


def _replaced(value: Any, supplied: Mapping[str, Code]) -> Any:
    """References in a value, replaced by code whose text is there."""
    if isinstance(value, tuple):
        return tuple(_replaced(one, supplied) for one in value)
    return supplied.get(value.reference, value) if isinstance(value, Code) else value


def _difference(found: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    for name in sorted(set(found) | set(stored)):
        here, there = found.get(name), stored.get(name)
        if isinstance(here, dict) and isinstance(there, dict) and here != there:
            return f"{name}.{_difference(here, there)}"
        if here != there:
            return f"{name} is now {here!r}, the store has {there!r}"
    return "nothing differs"


def plain(value: Any) -> Any:
    """A value of a field as JSON has it.

    Raises:
        RequestError: for what no field can hold.
    """
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"{value} is no finite number")
    if value is None or isinstance(value, bool | int | float):
        return value
    raise RequestError(
        f"{value!r} cannot be a field: expected a number, text, tuple, hs.File or "
        "hs.Code"
    )


def _coerce(value: Any, hint: Any, name: str) -> Any:
    """``value`` as the annotated type; the only conversions are the lossless ones."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        return _one_of(value, [a for a in args if a is not type(None)], name)
    if origin is Literal:
        if value in args:
            return value
        choice = ", ".join(map(str, args))
        hint_text = did_you_mean(str(value), map(str, args))
        raise RequestError(f"{name}={value!r}: expected one of {choice}{hint_text}")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_coerce(v, k, name) for v, k in zip(value, kinds, strict=True))
    if hint is float and _is_number(value):
        return float(cast(float, value))
    if hint in (int, bool) and type(value) is hint:
        return value
    if isinstance(hint, type) and issubclass(hint, str) and isinstance(value, str):
        return value if hint is Code and isinstance(value, Code) else hint(value)
    kind = getattr(hint, "__name__", str(hint)).lower()
    raise RequestError(f"{name}={value!r}: expected {_article(kind)} {kind}")


def _one_of(value: Any, hints: Sequence[Any], name: str) -> Any:
    """``value`` as a word of the first hint, or else of the second: a name or code."""
    words, *more = hints
    if not more or value in get_args(words):
        return _coerce(value, words, name)
    try:
        return _coerce(value, more[0], name)
    except RequestError:
        if isinstance(value, str) and ":" in value:
            raise
        return _coerce(value, words, name)  # its refusal knows what was meant


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


@cache  # asked for every cell of a sweep
def _kind_of_number(task: type[Task], name: str) -> type | None:
    """``float`` or ``int`` for a field that takes nothing else, but perhaps None.

    Other fields are not looked at: a worker may not know their types.
    """
    cls = next(c for c in task.__mro__ if name in vars(c).get("__annotations__", {}))
    alone = types.SimpleNamespace(__annotations__={name: cls.__annotations__[name]})
    hint = get_type_hints(alone, vars(sys.modules.get(cls.__module__, typing)))[name]
    kinds = {*(get_args(hint) or (hint,))} - {type(None)}
    return kinds.pop() if kinds in ({int}, {float}) else None


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _content(name: str, file: File) -> str:
    try:
        with file.path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{name}={str(file)!r} cannot be read: {reason}") from error
