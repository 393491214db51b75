"""Descriptions of all tasks, one task, all runs, one run."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from rich import box
from rich.table import Table
from rich.text import Text

from heliostat import config
from heliostat.answer import format_estimate
from heliostat.cli.format import (
    Answer,
    annotation_lines,
    estimate_lines,
    format_time,
    format_value,
    logs_lines,
    one_line,
    target_steps,
    to_json,
)
from heliostat.config import registry
from heliostat.errors import RequestError
from heliostat.fields import presets
from heliostat.task import Task, Var

if TYPE_CHECKING:
    import pandas as pd

    from heliostat.results.run import Run


def list_tasks() -> Answer:
    """List every task, also tasks that cannot be imported."""
    table = _table("task", "presets", "about")
    for name in registry.available():
        try:
            task = registry.find_task(name)
            table.add_row(name, ", ".join(presets.names(task)), _summary(task))
        except RequestError as error:
            table.add_row(name, "", Text(one_line(error), style="red"))
    return Answer([table])


def describe_task(cls: type[Task]) -> Answer:
    """Describe a task: its fields, presets and variables."""
    name = registry.name_of(cls)
    fields = _table("field", "type", "default", "about", title="fields")
    for field in config.fields_of(cls).values():
        default = "required" if field.default is MISSING else str(field.default)
        fields.add_row(field.name, _type_name(field.type), default, field.help)
    variables = [_variables(cls.emits, "a row")]
    if cls.observes:
        variables.append(_variables(cls.observes, "observed once a stride"))
    named = _table("preset", "fields", title="presets")
    for preset in presets.names(cls):
        content = presets.load(cls, preset)
        values = content.fields | ({"steps": content.steps} if content.steps else {})
        named.add_row(preset, ", ".join(f"{k}={v}" for k, v in values.items()))
    parts = [fields, *([named] if named.rows else []), *variables]
    return Answer([f"{name}: {_doc(cls)}", *parts, _lengths(cls)])


def describe_run(run: Run) -> Answer:
    """Describe a stored run: status, headline, fields, provenance, folder."""
    attrs, identity = run.record.attrs, run.spec.identity
    folder = run.record.folder  # for a packed cell the folder of its pack
    progress = f"{run.status}, {run.steps} of {target_steps(run)} steps"
    lines = [
        f"{identity['task']} {run.id}: {progress}",
        *annotation_lines(run.annotation),
        *([f"  {run.until}"] if run.until else []),
        *estimate_lines(run),
        *([f"  reason: {attrs['reason']}"] if attrs.get("reason") else []),
        *logs_lines(run.path, run.status),
        f"  seed {identity['seed']}, {'float64' if identity['x64'] else 'float32'}, "
        f"width {identity['width']}, stride {identity['stride']}, "
        f"task version {identity['task_version']}",
        "fields",
        *(f"  {name} = {value}" for name, value in run.spec.passed.items()),
        "provenance",
        *(
            f"  {name}: {format_value(value)}"
            for name, value in attrs["provenance"].items()
        ),
        "stored",
        f"  created {format_time(attrs['created'])}, {_size(folder)} in {folder}",
        f"  states kept at steps {', '.join(map(str, run.kept())) or '(none yet)'}",
    ]
    return Answer(lines)


def list_runs(table: pd.DataFrame, root: Path) -> Answer:
    """List the runs of a store with their headlines and the fields that differ."""
    from heliostat.results.catalog import COLUMNS
    from heliostat.results.tables import records_of

    entries = [to_json(entry) for entry in records_of(table)]
    if not entries:
        return Answer([f"no runs in {root}"], {"runs": []})
    values = [c for c in table.columns if f"{c}_error" in table.columns]
    common = {*COLUMNS, *values, *(f"{name}_error" for name in values)}
    about = [name for name in ("name", "tags") if any(e[name] for e in entries)]
    first = ["id", *about, "task", "status", "steps", "seed"]
    shown = _table(*first, "headline", "fields", "created")
    for entry in entries:
        own = [e for e in entries if e["task"] == entry["task"]]
        differing = [
            f"{name}={value}"
            for name, value in entry.items()
            if name not in common and any(e[name] != value for e in own)
        ]
        shown.add_row(
            *(str(_or_dash(entry[name])) for name in first),
            _first_value(entry, values),
            " ".join(differing),
            str(_or_dash(entry["created"])).replace("T", " "),
        )
    listed = [{**e, "tags": str(e["tags"] or "").split()} for e in entries]
    return Answer([shown], {"runs": listed})


def _first_value(entry: Mapping[str, Any], names: Iterable[str]) -> str:
    """Format the first value that has an error, else the first value."""
    present = [n for n in names if entry[n] is not None]
    name = next(
        (n for n in present if entry[f"{n}_error"] is not None), (present or [""])[0]
    )
    if not name:
        return "-"
    error = entry[f"{name}_error"]
    return (
        f"{name} {format_estimate(entry[name], math.nan if error is None else error)}"
    )


def _variables(variables: Mapping[str, Var], title: str) -> Table:
    table = _table("variable", "dims", "units", "about", title=title)
    for name, var in variables.items():
        table.add_row(name, ", ".join(var.dims), var.units, var.about)
    return table


def _lengths(cls: type[Task]) -> str:
    try:
        task = cls()
    except (TypeError, ValueError):
        plain = isinstance(cls.stride, int)  # else a property
        return f"{cls.stride} steps a stride" if plain else "the stride follows fields"
    return f"{task.steps} steps with these defaults, {task.stride} a stride"


def _type_name(hint: Any) -> str:
    """Return a type as people write it: ``ising | potts | Code``."""
    if get_origin(hint) is Literal:
        return " | ".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(map(_type_name, get_args(hint)))
    if hint is type(None):
        return "None"
    return str(hint) if get_args(hint) else hint.__name__


def _doc(cls: type[Task]) -> str:
    """Return the docstring without the sections for programmers."""
    text = inspect.cleandoc(cls.__doc__ or "")
    sections = r"^(Args|Raises|Example):\n(?:[ ].*\n?|\n)*"
    return re.sub(sections, "", text, flags=re.MULTILINE).strip()


def _summary(cls: type[Task]) -> str:
    return _doc(cls).partition("\n")[0]


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False
    )
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    return table


def _or_dash(value: Any) -> Any:
    return "-" if value is None else value


def _size(folder: Path) -> str:
    files = (os.path.join(at, f) for at, _, names in os.walk(folder) for f in names)
    size = float(sum(os.path.getsize(file) for file in files if os.path.exists(file)))
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"
