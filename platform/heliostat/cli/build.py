"""From words to a task: defaults, then a preset, a file, and what was typed."""

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
"""Parameters of tasks' verbs that are what they are in all others."""


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
    """A verb of a task's own as a command: its parameters are options, and if the
    first one is ``task``, so are the fields of the task that it wants made."""
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
    """A stored run; of a task that is not installed, if its class is named."""
    cls = class_of(task) if task else None
    return hs.open(run, store=store, task=cls, code=code)
