"""Checks of the fields of the task: one line says what is wrong.

A field that nothing reads is refused too: it would give the same draws another id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import heliostat as hs
from heliostat_tasks.discrete.samplers import SAMPLERS
from heliostat_tasks.discrete.targets import COUPLING, TARGETS, parameters

YOUR_OWN = "your own"

TARGET_FIELDS = "coupling field values hidden scale degree couplings".split()
SAMPLER_FIELDS = ("balancing", "differences", "longest")
ADAPTED = ("multi", "path", "dmala", "dula")
"""Samplers with a step size or radius."""


def readers(field: str, builders: Mapping[str, Callable[..., Any]]) -> tuple[str, ...]:
    """Return the names of the builders that read a field."""
    return tuple(name for name, build in builders.items() if field in parameters(build))


def uses(fields: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Map each field that only some runs read to whether this one does, and its use."""
    target, sampler = fields["target"], fields["sampler"]
    spelt_out = fields["coupling"] == COUPLING  # older runs name the default
    name = YOUR_OWN if isinstance(target, hs.Code) else target
    targets = {field: readers(field, TARGETS) for field in TARGET_FIELDS}
    targets["values"] += (YOUR_OWN,)
    samplers = {field: readers(field, SAMPLERS) for field in SAMPLER_FIELDS}
    samplers["step_size"] = ADAPTED
    return {
        **{
            f: (name in names, f"target {_either(names)}")
            for f, names in targets.items()
        },
        "coupling": (
            spelt_out or name in targets["coupling"],
            f"target {_either(targets['coupling'])}",
        ),
        **{
            f: (sampler in names, f"sampler {_either(names)}")
            for f, names in samplers.items()
        },
        "size": (fields["couplings"] is None, "targets without a file of couplings"),
        "hottest": (fields["rungs"] > 1, "2 rungs or more"),
    }


def check_fields(fields: Mapping[str, Any]) -> None:
    """Refuse numbers outside their ranges.

    Args:
        fields: values by name.

    Raises:
        ValueError: with the value given and the value expected.
    """
    for name in ("size", "chains", "hidden", "longest", "rungs"):
        if fields[name] < 1:
            raise ValueError(f"{name} {fields[name]}: expected at least 1")
    if fields["warmup"] < 0:
        raise ValueError(f"warmup {fields['warmup']}: expected 0 or more")
    starts, chains = fields["starts"], fields["chains"]
    if starts and (starts < 2 or chains % starts):
        raise ValueError(
            f"starts {starts}: expected 0, or 2 or more that divide the {chains} chains"
        )
    step_size, values = fields["step_size"], fields["values"]
    if step_size is not None and not step_size > 0:
        raise ValueError(f"step_size {step_size}: expected more than 0")
    if not 0 <= fields["lazy"] < 1:
        raise ValueError(f"lazy {fields['lazy']}: expected 0 to less than 1")
    if not 0 < fields["hottest"] < 1:
        raise ValueError(f"hottest {fields['hottest']}: expected between 0 and 1")
    if values is not None and not 2 <= values <= 256:
        raise ValueError(f"values {values}: expected 2 to 256")


def _either(names: tuple[str, ...]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
