"""Command line: parse options, call a verb, print its answer.

In reading order:

    commands      all verbs, in the order of ``--help``
    options       shared options: the run, its placement, the store
    build         the task from defaults, a preset, a file and the command line
    fields        options for the fields of a task
    runs          verbs that compute; ``sweeps`` one that computes many runs
    inspect       verbs that show; ``help`` describes tasks and runs
    tags          tags, names and notes of runs
    verify        verbs that test; ``remove`` those that delete
    format        answers for a person or a program; ``sweep_report`` one of a sweep

An error becomes one line on standard error and an exit status::

    0  complete (verify: ACCEPT)        2  invalid request
    1  failed (REJECT)                  3  INCONCLUSIVE
    130  interrupted or stopped; resume goes on    70  a defect, with a traceback

Standard output holds the answer only (with ``--json`` one object); progress and
messages go to standard error.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout

from cyclopts import App, CycloptsError, Group, Parameter, UnknownOptionError
from cyclopts.exceptions import UnusedCliTokensError
from rich.console import Console

from heliostat import __version__, config
from heliostat.answer import Answer, command
from heliostat.cli import commands
from heliostat.cli.build import task_command
from heliostat.cli.fields import (
    QUIET,
    parse_fields,
    to_argv,
    with_task_options,
    without_pydantic,
)
from heliostat.cli.format import print_answer
from heliostat.config import registry
from heliostat.errors import RequestError, RunFailed, StoreError, did_you_mean
from heliostat.system.signals import sigterm_interrupts

DEFECT = 70
"""Exit status of an error that nobody expected, printed with its traceback; EX_SOFTWARE
of sysexits.h, because 1 is an answer: REJECT."""

__all__ = ["main", "parse_fields", "to_argv"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status.

    Args:
        argv: arguments without the program's name; default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    console = _Console(file=sys.stdout, highlight=False)
    try:
        with redirect_stdout(sys.stderr), sigterm_interrupts():
            app = _app(words)
            with without_pydantic():
                verb, bound, _ = app.parse_args(words, console=console, **QUIET)
            answer = verb(*bound.args, **bound.kwargs)
        sys.stdout.flush()  # after --help: a closed pipe raises here
        return print_answer(answer, as_json) if isinstance(answer, Answer) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the flush at exit stays quiet
        return 1
    except (Exception, KeyboardInterrupt) as error:
        return _report_error(error, words, as_json)


class _Console(Console):
    """Console that leaves a closed pipe to :func:`main`: rich would close standard
    error, to which ``print`` is redirected."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _app(words: Sequence[str]) -> App:
    app = App(
        name="heliostat",
        help="Reproducible scientific computing on Ray, with verifiable runs.",
        version=__version__,
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        group_parameters=Group("Options", sort_key=2),
        default_parameter=Parameter(
            negative_bool=(),
            negative_iterable=(),
            negative_none=(),
            show_default=lambda v: None if v is None or v is False else str(v),
        ),
    )
    task = _task_of(words)
    for order, verb in enumerate(commands.VERBS):
        if task and verb.__name__ == words[0]:
            verb = with_task_options(verb, registry.load_task(task))
        app.command(verb, sort_key=order)
    if words and _is_task(words[0]):
        app.command(_app_of_task(words[0]))
    return app


def _is_task(word: str) -> bool:
    """Return True for a task, unless a plugin names its task as a verb is named."""
    verbs = {verb.__name__ for verb in commands.VERBS}
    return word in registry.available() and word not in verbs


def _app_of_task(name: str) -> App:
    """Return the command ``heliostat TASK VERB``: the verbs of a task.

    Raises:
        RequestError: if it has no verbs of its own.
    """
    cls = registry.find_task(name)
    verbs = cls.verbs()
    if not verbs:
        raise RequestError(
            f"{name} has no verbs of its own; run it with `{command('run', name)}`"
        )
    app = App(name=name, help=(cls.__doc__ or "").partition("\n")[0], show=False)
    for order, (word, verb) in enumerate(verbs.items()):
        app.command(task_command(cls, verb), name=word, sort_key=order)
    return app


def _task_of(words: Sequence[str]) -> str | None:
    """Return the task whose fields are options of this command line."""
    if words and _is_task(words[0]):
        return words[0]
    if not words or words[0] not in commands.TASK_VERBS:
        return None
    named = (word for word in words[1:] if word in registry.available())
    first = words[1] if len(words) > 1 else "-"
    return next(named, None) if first.startswith("-") else first


def _report_error(error: BaseException, words: Sequence[str], as_json: bool) -> int:
    """Print an error as a line or an object, and return the exit status."""
    status, line = _status_and_line(error, words)
    if as_json:
        run = vars(error).get("run_id")
        failed = run and not isinstance(error, RequestError | StoreError)
        kind = "interrupted" if status == 130 else "failed" if failed else "error"
        data = {"status": kind, "error": line}
        print_answer(Answer([], data | ({"id": run} if run else {})), as_json)
    print(f"heliostat: error: {line}", file=sys.stderr)
    return status


def _status_and_line(error: BaseException, words: Sequence[str]) -> tuple[int, str]:
    """Return the exit status and the line to print for an error."""
    line = " ".join(str(error).split()) or type(error).__name__
    match error:
        case CycloptsError():
            return 2, _usage_line(error, words)
        case RequestError():
            return 2, line
        case StoreError() | RunFailed():
            return 1, line
        case KeyboardInterrupt():
            return 130, line.replace("KeyboardInterrupt", "interrupted")
    traceback.print_exception(error)
    return DEFECT, f"{type(error).__name__}: {line}"


def _usage_line(error: CycloptsError, words: Sequence[str]) -> str:
    """Rewrite an error of Cyclopts as one line."""
    line = " ".join(str(error).split()).partition(" Available commands")[0].rstrip(".")
    line = re.sub(r"\. Did you mean \"?(.+?)\"?\?", r"; did you mean '\1'?", line)
    task = _task_of(words)
    if isinstance(error, UnusedCliTokensError):
        return f"unexpected '{' '.join(error.unused_tokens or [])}'"
    if isinstance(error, UnknownOptionError) and task:
        cls = registry.load_task(task)
        name = error.token.keyword or ""
        name = name.lstrip("-").replace("-", "_")
        names = [*config.fields_of(cls), *config.RESERVED]
        own = words[0] == task
        verb = words[:2] if own else (words[0], task)
        more = f"; `{command(*verb, '--help')}` lists them"
        return f"{registry.name_of(cls)} has no field '{name}'" + (
            did_you_mean(name, names) or more
        )
    return line[0].lower() + line[1:]
