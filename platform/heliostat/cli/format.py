"""Answers of the verbs: lines and tables for a person, one object for a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from heliostat import config
from heliostat.answer import INCONCLUSIVE, Answer, headline_lines
from heliostat.config import registry
from heliostat.results.commands import open_line, run_command
from heliostat.task import Task

if TYPE_CHECKING:
    from heliostat.driver.verify import Verdict
    from heliostat.results.run import Run
    from heliostat.store.annotations import Annotation

INTERRUPTED = 130
PIPE_WIDTH = 160  # columns of a table that no terminal limits
START_GRACE = 60.0  # seconds within which a new driver must lock its run


def print_answer(answer: Answer, as_json: bool) -> int:
    """Print an answer on standard output, and return its exit status."""
    if as_json:
        print(json.dumps(to_json(answer.data or {}), allow_nan=False), flush=True)
        return answer.status
    terminal = sys.stdout.isatty()
    verbatim: Any = {"markup": False, "emoji": False, "highlight": False}
    console = Console(
        file=sys.stdout, width=None if terminal else PIPE_WIDTH, **verbatim
    )
    for part in answer.text:
        console.print(part, soft_wrap=isinstance(part, str))
    sys.stdout.flush()
    return answer.status


def run_answer(run: Run, length: int) -> Answer:
    """Report the result of a run, its folder, and how to open it."""
    outcome = run.until
    length = length if outcome is None or outcome.step is None else outcome.step
    complete = run.steps >= length
    data = _run_data(run) | ({"status": "complete"} if complete else {})
    word = f"{run.spec.identity['task']} {run.id}: {data['status']}"
    reason = None if complete else run.record.attrs.get("reason")
    data |= {"reason": reason} if reason else {}
    lines = [
        f"{word}, {run.steps} of {length} steps",
        *([f"  because {reason}"] if reason else []),
        *([f"  {outcome}"] if outcome else []),
        *(estimate_lines(run) or ([] if reason else [f"  {_no_estimates(run)}"])),
        *_next_lines(run, complete),
    ]
    failed = 1 if run.headline_errors else 0
    return Answer(lines, data, failed if complete else INTERRUPTED)


def _no_estimates(run: Run) -> str:
    """Return the reason why nothing failed and there are still no estimates."""
    if type(run.task).headline is Task.headline:
        name = run.spec.identity["task"]
        return f"no estimates: {name} defines no headline; its rows are in run.rows"
    warmup = getattr(run.task, "warmup", None)
    after = f"; the warm-up has {warmup}" if warmup else ""
    return f"no estimates: the headline has none for {run.steps} steps{after}"


def start_answer(run: Run, length: int) -> Answer:
    """Report that a driver is starting, and how to follow it."""
    if run.steps >= length or (run.until and run.until.step):
        return run_answer(run, length)
    watch = run_command("watch", run.path, task=run.task)
    lines = [f"started {run.id} in {run.path}", f"  follow  {watch}"]
    return Answer(lines, _run_data(run) | {"status": "started"})


def dry_run_answer(
    task: Task, path: Path, length: int, seed: int, x64: bool, until: str | None
) -> Answer:
    """Describe the run that would be computed, and how much of it is stored."""
    fields = config.resolved_fields(task)
    status, steps = "new", 0
    if path.exists():
        from heliostat.results.run import Run

        run = Run(path, task)
        status, steps = run.status, run.steps
    data = {
        "id": path.name,
        "task": path.parent.name,
        "status": status,
        "steps": length,
        "stored_steps": steps,
        "path": path,
        "seed": seed,
        "x64": x64,
        "fields": fields,
        "headline": {},
        **({"until": until} if until else {}),
    }
    stored = f"{status}, {steps} steps stored" if path.exists() else "not stored yet"
    lines = [
        f"{path.parent.name} {path.name}: {length} steps, seed {seed}, "
        f"{'float64' if x64 else 'float32'}; {stored}",
        *(f"  {name} = {value}" for name, value in fields.items()),
        *([f"  until   {until}"] if until else []),
        f"  would be stored in {path}",
    ]
    return Answer(lines, data)


def stop_answer(run: Run) -> Answer:
    """Report whether a run has stopped."""
    status, steps = run.status, run.steps
    if status == "running":
        return Answer(
            [f"{run.id} will stop after its next commit; it has {steps} steps"]
        )
    return Answer([f"{run.id} is {status}, with {steps} steps"])


def verdict_answer(path: Path, verdict: Verdict) -> Answer:
    """Report a verification."""
    status = {"ACCEPT": 0, "REJECT": 1, INCONCLUSIVE: 3}[verdict.status]
    data = {"id": path.name, "path": path, **verdict._asdict()}
    return Answer(str(verdict).splitlines(), data, status)


def laws_answer(results: Mapping[str, str | None]) -> Answer:
    """List the laws; a broken one, and one that could not be tried, with the reason."""
    lines = [
        f"{_law_word(reason):7} {law}" + (f": {reason}" if reason else "")
        for law, reason in results.items()
    ]
    words = {_law_word(reason) for reason in results.values()}
    return Answer(lines, status=1 if "broken" in words else 3 if "open" in words else 0)


def _law_word(reason: str | None) -> str:
    if reason is None:
        return "holds"
    return "open" if reason.startswith(INCONCLUSIVE) else "broken"


def watch_answer(run: Run) -> Answer:
    """Show the progress of a run until it has no driver."""
    from heliostat.driver.progress import RunDisplay
    from heliostat.loop.work import Chunk

    display, seen = RunDisplay(), None
    try:
        with display.follow(run.record, run.task, target_steps(run)):
            while _is_driven(run):
                committed = run.record.committed.tolist()
                if seen is not None and committed != seen:
                    for block, stop in enumerate(committed):
                        display.on_chunk(Chunk(block, 0, stop, {}, (), {}, 0.0))
                seen = committed
                time.sleep(0.5)
    except KeyboardInterrupt:
        return Answer([f"stopped watching; {run.id} continues"])
    answer = run_answer(run, target_steps(run))
    return answer._replace(status=1 if run.status == "failed" else 0)


def log_lines(run: Run, follow: bool, full: bool) -> Iterator[str]:
    """Yield the events of a run as lines, each as soon as it is written."""
    printed = 0
    try:
        while True:
            driven = follow and _is_driven(run)
            events = run.events()
            for event in events[printed:]:
                yield from _event(event, full)
            printed = len(events)
            if not driven:
                break
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    output = run.path / "driver.log"
    if output.exists() and (lines := output.read_text(errors="replace").splitlines()):
        yield f"last lines of {output}:"
        yield from (f"  {line}" for line in lines[-20:])


def _run_data(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "task": run.spec.identity["task"],
        "status": run.status,
        "steps": run.steps,
        "path": run.path,
        "headline": {name: e._asdict() for name, e in run.headline.items()},
        **({"headline_errors": errors} if (errors := run.headline_errors) else {}),
        **({"until": run.until._asdict()} if run.until else {}),
    }


def annotation_lines(annotation: Annotation) -> list[str]:
    """Return a line for each that is given of name, tags and note."""
    texts = annotation._replace(tags=" ".join(annotation.tags))._asdict()
    return [f"  {name}  {one_line(text)}" for name, text in texts.items() if text]


def estimate_lines(run: Run) -> list[str]:
    """Return a line for each estimate, and for each that failed its reason."""
    errors = [f"  {error}" for error in run.headline_errors]
    return [*headline_lines(run.headline), *errors]


def _next_lines(run: Run, complete: bool) -> list[str]:
    """Return the folder of a run, and the lines with which its reader goes on."""
    path, task = run.path, run.task
    lines = [
        f"  stored  {path}",
        f"  open    {open_line(path, task)}",
        *_plot_line(run),
        *logs_lines(run.path, run.status),
    ]
    if not complete:
        lines.append(f"  resume  {run_command('resume', path, task=task)}")
    elif run.until and not run.until.met:
        longer = run_command("extend", path, "--steps", 2 * run.steps, task=task)
        lines.append(f"  extend  {longer}")
    return lines


def logs_lines(path: Path, status: str) -> list[str]:
    """Return the command that prints the traceback of a failed run."""
    failed = status == "failed"
    return [f"  logs    {run_command('logs', path, '--full')}"] if failed else []


def _plot_line(run: Run) -> list[str]:
    """Return the command that plots a run: of its task, if the task has one."""
    path, cls = run.path, type(run.task)
    if registry.is_registered(cls) and "plot" in cls.verbs():
        verb, picture = f"{registry.name_of(cls)} plot", f"{run.id}.png"
        return [f"  plot    {run_command(verb, path, '-o', picture)}"]
    return [f"  plot    {run_command('plot', path, task=run.task)}"]


def target_steps(run: Run) -> int:
    return int(run.record.attrs.get("steps") or run.task.steps)


def _is_driven(run: Run) -> bool:
    """Return True if the run has a driver, also while the driver is starting."""
    attrs = run.record.attrs
    requested = attrs.get("asked", attrs["created"])
    new = attrs["status"] == "created" and time.time() - requested < START_GRACE
    return new or run.status == "running"


def _event(event: Mapping[str, Any], full: bool) -> Iterator[str]:
    details = {
        k: v for k, v in event.items() if k not in ("time", "event", "traceback")
    }
    text = "  ".join(f"{name}={format_value(value)}" for name, value in details.items())
    yield f"{format_time(event['time'])}  {event['event']:<10} {text}"
    if "traceback" in event:
        lines = event["traceback"].splitlines() if full else ["(traceback: add --full)"]
        yield from (f"    {line}" for line in lines)


def format_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {format_value(v)}" for name, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(format_value, value))
    return one_line(value)


def one_line(value: Any) -> str:
    return " ".join(str(value).split())


def format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def to_json(value: Any) -> Any:
    """Convert to JSON values: paths and times to text, NaN and infinity to null."""
    match value:
        case Mapping():
            return {str(k): to_json(v) for k, v in value.items()}
        case list() | tuple():
            return [to_json(v) for v in value]
        case None | bool() | int() | str():
            return value
        case float():
            return config.float_to_json(value)
        case Path():
            return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat() if value == value else None  # NaT differs from itself
    return to_json(value.item()) if hasattr(value, "item") else str(value)
