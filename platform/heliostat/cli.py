"""The command line: words become typed options, a verb is called, an answer is printed.

No logic lives here.  What a verb answers is laid out in :mod:`heliostat.terminal`; what
goes wrong becomes one line on standard error and an exit status::

    0  complete (verify: ACCEPT)        2  the request makes no sense
    1  failed (REJECT)                  3  INCONCLUSIVE
    130  interrupted, and resumable
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypedDict, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter, Token, UnknownOptionError
from cyclopts.exceptions import UnusedCliTokensError
from cyclopts.validators import Number

from heliostat import __version__, config, presets, registry
from heliostat.errors import (
    RequestError,
    RunFailed,
    StoreError,
    did_you_mean,
)
from heliostat.task import Task
from heliostat.terminal import Answer, Output

OPTIONS = Group("Options", sort_key=2)


# -- options that several verbs share --------------------------------------------------


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    return int(tokens[0].value)  # 1.5 is refused, where int would be rounded to


def _at_least(least: int) -> Parameter:
    return Parameter(converter=_whole, validator=Number(gte=least))


Count = Annotated[int, _at_least(1)]
RunId = Annotated[str, Parameter(help="Id of a run, or its first digits.")]
TaskName = Annotated[str, Parameter(help="A task, or FILE.py:TASK, or MODULE:TASK.")]
Store = Annotated[
    str | None, Parameter(help="Folder of runs; default $HELIOSTAT_STORE, else ./runs.")
]
ClassOf = Annotated[
    str | None,
    Parameter(name="--task", help="FILE.py:TASK of a run whose task is not installed."),
]
Json = Annotated[bool, Parameter(help="Print one JSON object and nothing else.")]
Fields = Mapping[str, Any]  # stands for the fields of the task that is named


@Parameter(name="*", group=OPTIONS)
@dataclass(frozen=True)
class What:
    """The request, beside the fields of the task."""

    preset: str | None = None
    """Fields under a name, shipped with the task."""
    config: Path | None = None
    """Fields from a YAML file; they go before the preset's, typed ones before them."""
    steps: Count | None = None
    """Length of the run; the task's natural one if not given. More steps extend."""
    seed: Annotated[int, _at_least(0)] = 0
    """Root of all randomness."""
    x64: bool = False
    """Compute in float64."""


@Parameter(name="*", group=OPTIONS)
@dataclass(frozen=True)
class Where:
    """Where it is computed and stored, and how it answers."""

    on: str = "local"
    """local: all cores of this machine; here: this process; auto: the cluster around
    it; or the address of a cluster."""
    workers: Count | None = None
    """Worker processes; default the whole machine or cluster."""
    gpus: Annotated[float | None, Parameter(validator=Number(gte=0))] = None
    """GPUs for all workers together; default all there are."""
    store: Store = None
    json: Json = False

    @property
    def options(self) -> dict[str, Any]:
        """As the verbs take them; settles this process first where it will compute."""
        from heliostat import device

        if self.on == "here":
            gpus = _visible_gpus() if self.gpus is None else self.gpus
            device.claim(None if gpus else device.cores()[0], gpus)
        return {k: v for k, v in asdict(self).items() if k != "json"}


# -- verbs -----------------------------------------------------------------------------


def tasks() -> Answer:
    """List the tasks that can be run."""
    from heliostat import terminal

    return terminal.tasks()


def show(what: Annotated[str, Parameter(help="A task or a run.")], *, store: Store = None):
    """Describe a task (its fields, presets and rows) or a stored run."""
    from heliostat import stored, terminal

    if ":" in what or what in registry.available():
        return terminal.task(_class(what))
    if set(what) - set("0123456789abcdef"):
        registry.find(what)  # says what was meant
    return terminal.run(stored.open_run(what, store=store))


def run(
    task: TaskName,
    /,
    *,
    fields: Fields = {},
    what: What = What(),  # noqa: B008
    where: Where = Where(),  # noqa: B008
    fresh: bool = False,
    dry_run: bool = False,
) -> Answer:
    """Compute a run, or return it if it is stored.

    Args:
        fresh: Recompute what is stored from its first step, and compare.
        dry_run: Say what would be computed; compute and store nothing.
    """
    from heliostat import terminal

    made, steps = _made(task, fields, what)
    path = _path(made, what, where)
    if dry_run:
        return terminal.plan(made, what.seed, what.x64, steps or made.steps, path)
    with _driving(path, task):
        from heliostat import verbs

        given = {"seed": what.seed, "x64": what.x64, "steps": steps, "fresh": fresh}
        found = verbs.run(made, **given, **where.options)
    return terminal.ended(found, steps or made.steps)


def start(
    task: TaskName,
    /,
    *,
    fields: Fields = {},
    what: What = What(),  # noqa: B008
    where: Where = Where(),  # noqa: B008
    dry_run: bool = False,
) -> Answer:
    """Like run, but return at once: a driver of its own goes on.

    Args:
        dry_run: Say what would be computed; compute and store nothing.
    """
    from heliostat import terminal

    made, steps = _made(task, fields, what)
    path = _path(made, what, where)
    if dry_run:
        return terminal.plan(made, what.seed, what.x64, steps or made.steps, path)
    with _driving(path, task):
        from heliostat import verbs

        options = {k: v for k, v in asdict(where).items() if k != "json"}
        given = {"seed": what.seed, "x64": what.x64, "steps": steps}
        found = verbs.start(made, **given, **options)
    return terminal.started(found, steps or made.steps)


def resume(
    run: RunId,
    /,
    *,
    steps: Count | None = None,
    where: Where = Where(),  # noqa: B008
    task: ClassOf = None,
) -> Answer:
    """Bring an unfinished run to the length it was asked for.

    Args:
        steps: Another length; default the one it was planned for.
    """
    from heliostat import stored, terminal, verbs

    with _driving(stored.find(run, where.store), task):
        options = where.options | {"task": task and _class(task)}
        found = verbs.resume(run, steps=steps, **options)
    return terminal.ended(found, steps or found.record.attrs["steps"])


def extend(
    run: RunId,
    /,
    *,
    steps: Count,
    where: Where = Where(),  # noqa: B008
    task: ClassOf = None,
) -> Answer:
    """Continue a run, exactly as if it had been asked for more at first.

    Args:
        steps: Its new length, in total.
    """
    from heliostat import stored, terminal, verbs

    with _driving(stored.find(run, where.store), task):
        options = where.options | {"task": task and _class(task)}
        found = verbs.extend(run, steps=steps, **options)
    return terminal.ended(found, steps)


def stop(run: RunId, /, *, wait: float = 0, store: Store = None) -> Answer:
    """Ask the driver of a run to stop after its next commit.

    Args:
        wait: Seconds to wait for it.
    """
    from heliostat import terminal, verbs

    return terminal.stopping(verbs.stop(run, store=store, wait=wait))


def watch(run: RunId, /, *, store: Store = None, task: ClassOf = None) -> Answer:
    """Follow a run that is driven elsewhere; Ctrl-C leaves the run alone."""
    from heliostat import stored, terminal

    return terminal.watch(stored.open_run(run, store=store, task=task and _class(task)))


def logs(
    run: RunId, /, *, follow: bool = False, full: bool = False, store: Store = None
) -> Answer:
    """Print what happened to a run, and the last words of its driver.

    Args:
        follow: Go on until the run ends.
        full: With the tracebacks of failures.
    """
    from heliostat import stored, terminal

    return Answer(terminal.log(stored.open_run(run, store=store), follow, full))


def rm(run: RunId, /, *, yes: bool = False, store: Store = None) -> Answer:
    """Delete a run and all it stored.

    Args:
        yes: Do not ask.
    """
    from heliostat import stored, verbs

    path = stored.find(run, store)
    if not yes and not sys.stdin.isatty():
        raise RequestError(f"removing {path.name} wants --yes where nobody can be asked")
    if not yes and not _confirmed(f"remove {path} and all it stored? [y/N] "):
        return Answer(["nothing was removed"])
    verbs.remove(path.name, store=store)
    return Answer([f"removed {path}"])


def gc(*, store: Store = None) -> Answer:
    """Remove what crashes left behind; runs are never touched."""
    from heliostat import catalog

    removed = catalog.gc(store)
    return Answer([f"removed {path}" for path in removed] or ["nothing to remove"])


def plot(
    run: RunId,
    var: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    store: Store = None,
    task: ClassOf = None,
) -> Answer:
    """Draw a variable of a run over its steps.

    Args:
        var: A variable of its rows; default the first.
        output: File to write, its ending says the format; default ID.png.
    """
    from heliostat import plotting, stored

    found = stored.open_run(run, store=store, task=task and _class(task))
    return Answer([str(plotting.plot(found, var, output or f"{found.id}.png"))])


def export(
    run: RunId,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    store: Store = None,
) -> Answer:
    """Write the rows of a run and its provenance to one netCDF-4 file.

    Args:
        output: The file to write.
    """
    from heliostat import stored

    return Answer([str(stored.open_run(run, store=store).export(output))])


def verify(
    run: RunId,
    /,
    *,
    segments: Annotated[int | Literal["all"], Parameter(show_choices=False)] = 3,
    where: Where = Where(),  # noqa: B008
    task: ClassOf = None,
) -> Answer:
    """Check a stored run against its digests, and replay parts of it.

    Args:
        segments: Strides to replay: a number, or "all".
    """
    from heliostat import stored, terminal, verification

    path = stored.find(run, where.store)
    with _driving(path, task):
        place = {k: where.options[k] for k in ("on", "workers")}
        try:
            found = stored.as_run(run, where.store, task and _class(task))
        except StoreError as error:
            damage = verification.Verdict("REJECT", [str(error)], [])
            return terminal.verdict(path.name, damage)
        verdict = verification.verify(found, segments=segments, **place)
    return terminal.verdict(path.name, verdict)


def check(
    task: TaskName,
    /,
    *,
    fields: Fields = {},
    what: What = What(),  # noqa: B008
    on: Literal["local", "here"] = "local",
) -> Answer:
    """Try the laws that every task inherits, by default on its preset "quick".

    Args:
        on: here leaves out the laws that want Ray.
    """
    from heliostat import laws, terminal

    quick = "quick" if "quick" in presets.names(_class(task)) else None
    made, _ = _made(task, fields, What(what.preset or quick, what.config))
    workers = () if Where(on).options["on"] == "here" else (1, 2)
    return terminal.laws(laws.check_task(made, workers=workers))


def runs(
    *, task: str | None = None, where: str = "", store: Store = None, json: Json = False
) -> Answer:
    """List the runs of a store.

    Args:
        task: Only runs of this task.
        where: A condition, such as "energy < -8.07 and seed == 0".
    """
    from heliostat import catalog, stored, terminal

    root = Path(store) if store else stored.default_store()
    if task and not (root / task).exists():
        registry.find(task)  # says what was meant
    return terminal.runs(catalog.runs(task, where, root), root)


VERBS: tuple[Callable[..., Answer], ...] = (
    *(tasks, show, run, start, resume, extend, stop, watch, logs, rm, gc),
    *(plot, export, verify, check, runs),
)
OF_TASKS = {"run": run, "start": start, "check": check}


# -- the fields of a task as options ---------------------------------------------------


def parse_fields(task: type[Task], argv: Sequence[str]) -> dict[str, Any]:
    """The fields that were typed, as plain values; for :func:`config.build`.

    Example:
        >>> parse_fields(VMC, ["--molecule", "LiH", "--burn-in=50"])  # doctest: +SKIP
        {'molecule': 'LiH', 'burn_in': 50}
    """

    def fields(*, fields: Fields = {}) -> Fields:
        return fields

    app = App(default_parameter=_PLAIN, help_flags=(), version_flags=())
    app.default(_fitted(fields, task))
    try:
        return dict(app(argv, **_QUIET))
    except CycloptsError as error:
        raise RequestError(_usage(error, ["run", registry.name_of(task)])) from error


def to_argv(task: Task) -> list[str]:
    """The words that spell a task on the command line; the inverse of parsing them.

    Fields that have their default are left out.
    """
    words = []
    for name, field in config.fields_of(type(task)).items():
        value, option = getattr(task, name), f"--{name.replace('_', '-')}"
        if value == field.default and type(value) is type(field.default):
            continue
        if value is None or value is False:
            words.append(option.replace("--", "--none-" if _may_be(field, bool) and value is None else "--no-", 1))
        elif value is True or value == ():
            words.append(option)
        else:
            several = value if isinstance(value, tuple) else (value,)
            words += [f"{option}={v}" for v in several]
    return words


def _fitted(verb: Callable[..., Any], task: type[Task]) -> Callable[..., Any]:
    """A verb whose ``fields`` are the options of this task."""

    def command(*args: Any, **options: Any) -> Any:
        return verb(*args, **options)

    signature = inspect.signature(verb, eval_str=True)
    typed = Annotated[_options_of(task), Parameter(name="*")]
    command.__doc__, command.__name__ = verb.__doc__, verb.__name__
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            p.replace(annotation=typed) if p.annotation == Fields else p
            for p in signature.parameters.values()
        ]
    )
    return command


def _options_of(task: type[Task]) -> Any:
    """A mapping with one optional key per field: it holds what was typed, no more."""
    group = Group(f"Fields of {registry.name_of(task)}", sort_key=1)
    options = {}
    for name, field in config.fields_of(task).items():
        about = "" if field.default is field.missing else f" [default: {field.default}]"
    return TypedDict("Fields", options, total=False)
