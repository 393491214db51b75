"""Task from defaults, a preset, a file and typed fields, in this order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import heliostat as hs
from heliostat import config
from heliostat.answer import Answer
from heliostat.cli.fields import NOTHING, Fields, with_task_options
from heliostat.cli.options import (
    DEFAULTS,
    ConfigSource,
    Json,
    Output,
    RunOptions,
    Store,
)
from heliostat.config import presets, registry
from heliostat.task import Task

SHARED = {"store": Store, "output": Output}
"""Options that a verb of a task shares with the other verbs, by parameter name."""


def build_task(task: str, fields: Fields, what: RunOptions) -> tuple[Task, int | None]:
    made, steps = task_from(class_of(task), fields, what)
    return made, what.steps or steps


def task_from(
    cls: type[Task], fields: Fields, chosen: ConfigSource
) -> tuple[Task, int | None]:
    merged, steps = {}, None
    parts = [presets.load(cls, chosen.preset)] if chosen.preset else []
    parts += [presets.read(chosen.config)] if chosen.config else []
    for part in parts:
        merged |= part.fields
        steps = part.steps or steps
    return config.build(cls, merged | dict(fields)), steps


@cache
def class_of(task: str) -> type[Task]:
    return registry.load_task(task)


def task_command(cls: type[Task], verb: Callable[..., Answer]) -> Callable[..., Any]:
    """Make a command of a task's verb: its parameters become options. If the first one
    is ``task``, the fields of the task become options too."""
    signature = inspect.signature(verb, eval_str=True)
    parameters = [
        p for p in signature.parameters.values() if p.name not in ("task", "json")
    ]
    makes = "task" in signature.parameters

    def command(
        *args: Any,
        fields: Fields = NOTHING,
        chosen: ConfigSource = DEFAULTS,
        json: bool = False,
        **options: Any,
    ) -> Answer:
        made = [task_from(cls, fields, chosen)[0]] if makes else []
        return verb(*made, *args, **options)

    parameters = [
        p.replace(annotation=SHARED.get(p.name, p.annotation)) for p in parameters
    ]
    own = inspect.signature(command, eval_str=True).parameters
    more = [own["fields"], own["chosen"]] if makes else []
    json = own["json"].replace(annotation=Json)
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    vars(command)["__signature__"] = signature.replace(
        parameters=[*parameters, *more, json]
    )
    return with_task_options(command, cls) if makes else command


def open_run(
    run: str,
    store: str | None,
    task: str | None = None,
    code: Sequence[str] = (),
) -> hs.Run:
    """Open a stored run; ``task`` names its class if it is not installed."""
    cls = class_of(task) if task else None
    return hs.open(run, store=store, task=cls, code=code)
