"""Tasks rebuilt from stored specs: data are read from the store, code never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin

from heliostat.config import registry
from heliostat.config.code import REFERENCE, Code
from heliostat.config.execution import EXECUTED
from heliostat.config.fields import build, fields_of
from heliostat.config.identity import Spec, specify
from heliostat.config.references import codes_in, substitute
from heliostat.config.source import source_digest
from heliostat.errors import RequestError
from heliostat.task import Task


def rebuild(
    spec: Spec, task: type[Task] | None = None, code: Sequence[Code] = ()
) -> Task:
    """Build the task of a stored spec, from its passed fields if they are still valid.

    Fields that hold code are taken from the stored digests, never read from a stored
    path, so that opening a store cannot execute anything.  To step the task, the caller
    supplies the code.

    A task that is not installed is searched among the classes of this process.

    Raises:
        RequestError: if there is no such class, if its identity has changed (a file
            was edited, the task has a new version), or for code of another run.
    """
    newest, *others = [task] if task else _classes(spec)
    try:
        return _rebuild_as(newest, spec, code)
    except RequestError:
        for cls in others:
            with suppress(RequestError):
                return _rebuild_as(cls, spec, code)
        raise


def _classes(spec: Spec) -> list[type[Task]]:
    """Return the installed class of a run, or else those that live in this process.

    Raises:
        RequestError: if there is none.
    """
    name = spec.identity["task"]
    if name in registry.available() or "source" not in spec.identity:
        return [registry.find_task(name)]
    if classes := registry.classes_in_process(name):
        return classes
    raise RequestError(
        f"run {spec.id}: its task '{name}' is not installed; give its class with "
        "--task FILE.py:CLASS (task='FILE.py:CLASS' in Python)"
    )


def _rebuild_as(cls: type[Task], spec: Spec, code: Sequence[Code]) -> Task:
    """Build a task of a class, and compare its identity with a stored one."""
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
        identity = _as_in_script(cls, candidate_spec.identity, spec.identity)
        if identity == spec.identity:
            return candidate
        reason = _mismatch(identity, spec.identity)
    raise RequestError(f"run {spec.id} cannot be rebuilt: {reason}")


def _as_in_script(
    cls: type[Task], candidate: Mapping[str, Any], stored: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return an identity, with the source as in a script if the run is of the script.

    A script is hashed by what it reads, ``FILE.py:CLASS`` by the files.
    """
    source = stored.get("source")
    if cls not in EXECUTED or candidate.get("source") == source:
        return candidate
    if source_digest(cls, in_script=True) == source:
        return {**candidate, "source": source}
    return candidate


def _mismatch(candidate: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    for name in sorted(set(candidate) | set(stored)):
        new, old = candidate.get(name), stored.get(name)
        if isinstance(new, dict) and isinstance(old, dict) and new != old:
            return f"{name}.{_mismatch(new, old)}"
        if new != old and name == "source":
            return "its source, or data that the source reads, have changed"
        if new != old:
            return f"{name} is now {new!r}, the store has {old!r}"
    return "nothing differs"


def _stored_codes(cls: type[Task], spec: Spec) -> dict[str, Any]:
    """Return the fields of a stored spec that hold code, as references.

    Raises:
        RequestError: for any other value: no path in a store is ever read.
    """

    def checked(value: Any, name: str) -> Any:
        if isinstance(value, list):
            return tuple(checked(item, name) for item in value)
        if value in words[name]:
            return value
        if value is None or (isinstance(value, str) and REFERENCE.fullmatch(value)):
            return value if value is None else Code(value)
        raise RequestError(f"run {spec.id}: the stored {name} is not a digest of code")

    hints = {f.name: f.type for f in fields_of(cls).values() if takes_code(f.type)}
    words = {name: _words(hint) for name, hint in hints.items()}
    stored = spec.identity["fields"]
    return {name: checked(stored.get(name), name) for name in hints}


def takes_code(hint: Any) -> bool:
    return hint is Code or any(map(takes_code, get_args(hint)))


def _words(hint: Any) -> tuple[Any, ...]:
    """Return the words that a field accepts beside code."""
    parts = [a for a in get_args(hint) if get_origin(a) is Literal]
    return tuple(word for part in parts for word in get_args(part))


def _supplied(
    spec: Spec, stored: Mapping[str, Any], code: Sequence[Code]
) -> dict[str, Code]:
    """Return the supplied code by digest, and refuse code of another run."""
    references = [ref for value in stored.values() for ref in codes_in(value)]
    for item in code:
        if item in references:
            continue
        same_name = [ref for ref in references if ref.name == item.name]
        if not references:
            raise RequestError(
                f"code '{item}': run {spec.id} has no code in its fields"
            )
        if not same_name:
            raise RequestError(
                f"code '{item}': run {spec.id} has no code named {item.name}; "
                f"its code is {', '.join(ref.name for ref in references)}"
            )
        raise RequestError(
            f"code '{item}' is not the code of run {spec.id}: the file now has "
            f"{item.reference[:19]}…, the store has {same_name[0][:19]}…"
        )
    return {item.reference: item for item in code}
