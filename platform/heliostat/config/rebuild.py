"""Task of a stored spec: data are read from the store, code never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from heliostat.config import registry
from heliostat.config.code import REFERENCE, Code
from heliostat.config.fields import build, fields_of
from heliostat.config.identity import Spec, specify
from heliostat.config.references import codes_in, substitute
from heliostat.errors import RequestError
from heliostat.task import Task


def rebuild(
    spec: Spec, task: type[Task] | None = None, code: Sequence[Code] = ()
) -> Task:
    """Build the task of a stored spec, from its passed fields if they still hold.

    Code is the exception: of what is stored only its digest is taken, never a path to
    read from, so that opening a store cannot execute anything.  Whoever wants to step
    the task supplies the code.

    Raises:
        RequestError: if the task is not known here, or its fields no longer mean what
            they meant (a file was edited, the task has a new version); also for code
            that is not the run's.
    """
    cls = task or registry.find_task(spec.identity["task"])
    reason, stored = "its identity differs", _stored_codes(cls, spec)
    supplied = _supplied(spec, stored, code)
    for fields in (spec.passed, spec.identity["fields"]):
        try:
            fields = fields | {n: substitute(v, supplied) for n, v in stored.items()}
            candidate = build(cls, fields)
            options = spec.identity["seed"], spec.identity["x64"]
            candidate_spec = specify(candidate, *options, spec.identity.get("parent"))
        except RequestError as error:
            reason = str(error)
            continue
        if candidate_spec.identity == spec.identity:
            return candidate
        reason = _difference(candidate_spec.identity, spec.identity)
    raise RequestError(f"run {spec.id} cannot be rebuilt: {reason}")


def _difference(candidate_spec: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    for name in sorted(set(candidate_spec) | set(stored)):
        new, old = candidate_spec.get(name), stored.get(name)
        if isinstance(new, dict) and isinstance(old, dict) and new != old:
            return f"{name}.{_difference(new, old)}"
        if new != old:
            return f"{name} is now {new!r}, the store has {old!r}"
    return "nothing differs"


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

    hints = {f.name: f.type for f in fields_of(cls).values() if takes_code(f.type)}
    words = {name: _words(hint) for name, hint in hints.items()}
    stored = spec.identity["fields"]
    return {name: checked(stored.get(name), name) for name in hints}


def takes_code(hint: Any) -> bool:
    return hint is Code or any(map(takes_code, get_args(hint)))


def _words(hint: Any) -> tuple[Any, ...]:
    """The names that a field accepts beside code."""
    parts = [a for a in get_args(hint) if get_origin(a) is Literal]
    return tuple(word for part in parts for word in get_args(part))


def _supplied(
    spec: Spec, stored: Mapping[str, Any], given: Sequence[Code]
) -> dict[str, Code]:
    """Return the supplied code by digest, and refuse code of another run."""
    known = [code for value in stored.values() for code in codes_in(value)]
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
