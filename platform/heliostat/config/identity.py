"""Identity of a run, and its id."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from heliostat.config import registry, source
from heliostat.config.fields import passed_fields, with_declared_types
from heliostat.config.references import codes_in, to_references
from heliostat.config.validate import check_declarations
from heliostat.config.values import canonical_json, json_value
from heliostat.errors import RequestError
from heliostat.fields.conversion import File, plain
from heliostat.task import Task

SCHEMA = 1
"""Version of the store format; the reader refuses all others."""


class Spec(NamedTuple):
    """Identity of a run, and its fields as the user passed them."""

    identity: dict[str, Any]
    passed: dict[str, Any]

    @property
    def genesis(self) -> str:
        return hashlib.sha256(canonical_json(self.identity)).hexdigest()

    @property
    def id(self) -> str:
        return self.genesis[:16]


def specify(
    task: Task,
    seed: int = 0,
    x64: bool = False,
    parent: Mapping[str, Any] | None = None,
) -> Spec:
    """Return the spec of a run; equal specs are the same run.

    Args:
        parent: the state from which the run starts, from ``Parent.identity``.

    Raises:
        RequestError: for a seed that is no integer in [0, 2^63), or a malformed task.
    """
    registry.check_is_task(task)
    seed = plain(seed)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise RequestError(f"seed {seed!r}: expected an integer from 0 to 2^63 - 1")
    task = with_declared_types(task)
    check_declarations(task)
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
        identity["source"] = source.source_digest(type(task))
    return Spec(identity, passed_fields(task))


def resolved_fields(task: Task) -> dict[str, Any]:
    """Return the fields of the identity, with digests of the content of files and code.

    A task whose fields can spell the same value in several ways (a molecule's name,
    file or inline text) defines ``canonical() -> dict`` with one spelling.
    """
    resolved = passed_fields(task)
    for name, value in resolved.items():
        passed = getattr(task, name)
        resolved[name] = (
            _file_digest(name, passed) if isinstance(passed, File) else value
        )
        if any(codes_in(passed)):
            resolved[name] = to_references(passed)
    resolved.update({k: json_value(v) for k, v in task.canonical().items()})
    return resolved


def _file_digest(name: str, file: File) -> str:
    try:
        with file.path.open("rb") as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{name}={str(file)!r} cannot be read: {reason}") from error
