"""Fields of tasks as JSON values, and the identity of a run.

The identity is the canonical JSON of (task, task_version, resolved fields, seed, x64,
width, stride), and of the parent if the run starts from the state of another run.  Its
SHA-256 is the genesis of the run's digest chain, and the first 16 digits of that are
the run's id.  The length is not part of the identity: more steps extend a run.

| module | subject |
|---|---|
| ``fields``, ``values`` | fields of a task; values as JSON and as their types |
| ``identity`` | the definition of a run, and its id |
| ``code``, ``references``, ``source`` | code of users, source of tasks: by digests |
| ``execution``, ``content`` | files of users are executed; what they define, compared |
| ``packable``, ``validate`` | traced fields; checks of a task |
| ``lines`` | lines of a task's code, for messages about mistakes in it |
| ``rebuild`` | the task of a stored definition |
| ``registry`` | installed tasks |
| ``condition`` | conditions as text, never evaluated as Python |
"""

from __future__ import annotations

from heliostat.config.fields import (
    RESERVED,
    Field,
    build,
    coerce_field,
    fields_of,
    passed_fields,
    replace_fields,
)
from heliostat.config.identity import SCHEMA, Spec, resolved_fields, specify
from heliostat.config.packable import traced_fields
from heliostat.config.rebuild import rebuild
from heliostat.config.references import codes_of
from heliostat.config.validate import declared_reads
from heliostat.config.values import (
    canonical_json,
    float_from_json,
    float_to_json,
    json_value,
)

__all__ = [
    "RESERVED",
    "SCHEMA",
    "Field",
    "Spec",
    "build",
    "canonical_json",
    "codes_of",
    "coerce_field",
    "declared_reads",
    "fields_of",
    "float_from_json",
    "float_to_json",
    "json_value",
    "passed_fields",
    "rebuild",
    "replace_fields",
    "resolved_fields",
    "specify",
    "traced_fields",
]
