"""The definition of a run, or of a pack's cells: a JSON file with a known digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliostat.config import SCHEMA, Spec
from heliostat.errors import StoreError
from heliostat.store.damage import as_store_error
from heliostat.store.validate import check_types

ID = re.compile("[0-9a-f]{16}")

IDENTITY: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("seed", "width", "stride", "task_version", "schema"), (int,)),
    "task": (str,),
    "x64": (bool,),
    "fields": (dict,),
}


def spec_text(spec: Spec) -> str:
    """Return the content of ``spec.json``."""
    return json.dumps(spec._asdict(), indent=1, sort_keys=True)


def read_spec(file: Path, id_: str | None, sha256: str | None) -> Spec:
    """Read the definition of a run.

    Args:
        id_: id of the run; None if its folder has been renamed.
        sha256: digest of the file, from the attributes of the record.

    Raises:
        StoreError: if the file is damaged, or of another run or schema.
    """
    with as_store_error(f"{file}: the spec"):
        content = file.read_bytes()
        spec = _spec(json.loads(content))
        schema = spec.identity["schema"]
    if schema != SCHEMA:
        raise StoreError(f"{file}: schema {schema}; this heliostat reads {SCHEMA}")
    if (spec.id, hashlib.sha256(content).hexdigest()) != (id_ or spec.id, sha256):
        raise StoreError(f"{file}: the spec is damaged (its digest differs)")
    return spec


def stored_id(file: Path) -> str:
    """Return the id of a definition, which is not checked otherwise.

    Raises:
        StoreError: if the file is damaged.
    """
    with as_store_error(f"{file}: the spec"):
        return _spec(json.loads(file.read_bytes())).id


def pack_text(specs: Sequence[Spec]) -> str:
    """Return the content of ``pack.json``."""
    cells = {spec.id: spec._asdict() for spec in specs}
    return json.dumps({"cells": cells}, separators=(",", ":"))


def pack_id(cells: Sequence[str]) -> str:
    """Return the id of a pack: of the set of its cells, in any order."""
    return hashlib.sha256("\n".join(sorted(cells)).encode()).hexdigest()[:16]


def read_specs(file: Path, id_: str, sha256: str | None) -> dict[str, Spec]:
    """Read the definitions of a pack's cells by their ids, in their order.

    Args:
        id_: id of the pack.
        sha256: digest of the file, from the attributes of the record.

    Raises:
        StoreError: if the file is damaged, or of another pack.
    """
    with as_store_error(f"{file}: the specs"):
        content = file.read_bytes()
        cells = json.loads(content)["cells"]
        specs = {spec.id: spec for spec in map(_spec, cells.values())}
        ids = list(specs)
    digests = (ids, pack_id(ids), hashlib.sha256(content).hexdigest())
    if digests != (list(cells), id_, sha256):
        raise StoreError(f"{file}: the specs are damaged (a digest differs)")
    return specs


def _spec(stored: dict[str, Any]) -> Spec:
    """Return a spec from JSON values.

    Raises:
        StoreError: if a part has another type: a stranger can give any spec an id.
    """
    check_types(stored, {"identity": (dict,), "passed": (dict,)}, "it")
    check_types(stored["identity"], IDENTITY, "its identity")
    for name in ("width", "stride"):
        if stored["identity"][name] is True or stored["identity"][name] < 1:
            reason = f"{name} is {stored['identity'][name]}, expected at least 1"
            raise StoreError(f"its identity is damaged ({reason})")
    return Spec(stored["identity"], stored["passed"])
