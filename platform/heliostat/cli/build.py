"""Task from defaults, a preset, a file and the command line, in this order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import heliostat as hs
from heliostat import config
from heliostat.answer import Answer
from heliostat.cli.fields import NO_FIELDS, Fields, with_task_options
from heliostat.cli.options import (
    DEFAULT_SOURCE,
    ConfigSource,
    Json,
    Output,
    RunOptions,
    Store,
)
from heliostat.config import registry
from heliostat.fields import presets
from heliostat.task import Task

SHARED = {"store": Store, "output": Output}
"""Options that a verb of a task shares with the other verbs, by parameter name."""


def build_task(
    task: str, fields: Fields, options: RunOptions
) -> tuple[Task, int | None]:
    built, steps = task_from(class_of(task), fields, options)
    return built, options.steps or steps


def task_from(
    cls: type[Task], fields: Fields, source: ConfigSource
) -> tuple[Task, int | None]:
    merged, steps = {}, None
    parts = [presets.load(cls, source.preset)] if source.preset else []
    parts += [presets.read(source.config)] if source.config else []
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
    takes_task = "task" in signature.parameters

    def command(
        *args: Any,
        fields: Fields = NO_FIELDS,
        source: ConfigSource = DEFAULT_SOURCE,
        json: bool = False,
        **options: Any,
    ) -> Answer:
        tasks = [task_from(cls, fields, source)[0]] if takes_task else []
        return verb(*tasks, *args, **options)

    parameters = [
        p.replace(annotation=SHARED.get(p.name, p.annotation)) for p in parameters
    ]
    own = inspect.signature(command, eval_str=True).parameters
    more = [own["fields"], own["source"]] if takes_task else []
    json = own["json"].replace(annotation=Json)
    command.__name__, command.__doc__ = verb.__name__, verb.__doc__
    vars(command)["__signature__"] = signature.replace(
        parameters=[*parameters, *more, json]
    )
    return with_task_options(command, cls) if takes_task else command


def open_run(
    run: str,
    store: str | None,
    task: str | None = None,
    code: Sequence[str] = (),
) -> hs.Run:
    """Open a stored run; ``task`` names its class if it is not installed."""
    cls = class_of(task) if task else None
    return hs.open(run, store=store, task=cls, code=code)
