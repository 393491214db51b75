"""Catalog of a store: every run as one table; removal of what crashes left."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from heliostat.config import Spec, registry
from heliostat.config.condition import Condition
from heliostat.errors import Busy, StoreError, did_you_mean
from heliostat.results.description import field_values
from heliostat.results.lookup import existing_store
from heliostat.results.run import status_of
from heliostat.results.tables import table_of
from heliostat.store import lock
from heliostat.store.annotations import Annotation, annotation_of, annotations_in
from heliostat.store.index import (
    cell_ids,
    folder_id,
    list_packs,
    run_folders,
    run_paths,
    task_folders,
)
from heliostat.store.pack import PACKS_FOLDER, Pack
from heliostat.store.record import Record
from heliostat.system import cache, sessions
from heliostat.task import Task

UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.[0-9a-f]{8}")
"""Names of runs that are not completely created; other hidden files are not ours."""

COLUMNS = (
    *("id", "task", "status", "steps", "seed", "created"),
    *("name", "tags", "note"),
)


def runs(
    task: type[Task] | str | None = None,
    where: str = "",
    store: str | Path | None = None,
) -> pd.DataFrame:
    """Return a table of all stored runs, one line per run.

    Args:
        task: only runs of this task: its name, class or FILE.py:CLASS.
        where: a condition on columns, such as ``"energy < -8.07 and seed == 0"`` or
            ``"'paper' in tags"``.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.

    Returns:
        A table with the columns id, task, status, steps, seed, created; name, tags
        (joined by spaces) and note of :func:`heliostat.tag`; each headline value with
        its ``_error``; and the fields of the tasks.  The status of a damaged run is
        ``damaged``.  Whole numbers stay whole: where a line has none, the column has
        the nullable type ``Int64``.

    Raises:
        RequestError: if there is no such store or task, if the condition cannot be
            parsed, or if a column does not exist.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> table = hs.runs("discrete", where="seed == 0 and coupling > 0.3")
        >>> table.status[table.id == run.id].item()
        'complete'
    """
    root = existing_store(store)
    homes = task_folders(root, task and _task_name(task, root))
    alone = [_run_line(folder) for home in homes for folder in run_folders(home)]
    ids = {line["id"] for line in alone}
    packed = [li for home in homes for p in list_packs(home) for li in _pack_lines(p)]
    lines = alone + [line for line in packed if line["id"] not in ids]
    table = table_of(lines, COLUMNS)
    if where and lines:
        table = table.loc[_select(where, table)]
    return table.sort_values("created", ignore_index=True)


def gc(store: str | Path | None = None, *, machine: bool = True) -> list[Path]:
    """Remove what crashes left behind: unfinished creations, partial files, old locks.

    Args:
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        machine: remove also what is left on this machine: folders of heliostat's own
            Ray sessions that have ended, and compiled programs unused for 30 days.

    Returns:
        The paths that were removed.  Runs, also unfinished ones, are never removed.

    Raises:
        RequestError: if there is no such store.

    Example:
        >>> import heliostat as hs
        >>> hs.gc(machine=False)    # nothing has crashed
        []
    """
    root = existing_store(store)
    removed = []
    for path in sorted([*root.glob("*/.*"), *root.glob(f"*/{PACKS_FOLDER}/.*")]):
        if UNFINISHED.fullmatch(path.name) and path.is_dir() and _is_stale(path):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    for home in task_folders(root):
        for folder in sorted([*run_folders(home), *list_packs(home)]):
            removed += _remove_leftovers(folder)
    if machine:
        removed += [*sessions.remove_ended(), *cache.remove_old_programs()]
    return removed


def _task_name(task: type[Task] | str, store: Path) -> str:
    """Return the name of a task that is stored, installed or of this process.

    Raises:
        RequestError: if it is none of these; suggests one.
    """
    if not isinstance(task, str) or ":" in task:
        return registry.name_of(registry.task_class(task))
    homes = [home for home in task_folders(store) if run_paths(store, home.name)]
    names = [*registry.available(), *(home.name for home in homes)]
    if task not in names and not registry.classes_in_process(task):
        raise registry.unknown_task(task, names)
    return task


def _remove_leftovers(run: Path) -> list[Path]:
    """Remove the leftovers of one run, under its lock, so that no driver starts."""
    left = [*run.glob("lock.*"), *run.rglob("*.partial")]
    if not left or lock.lock_owner(run):
        return []
    with contextlib.suppress(Busy, StoreError), lock.Lock(run) as mine:
        left = [p for p in left if p == mine.path or _is_stale(p)]
        for path in set(left) - {mine.path}:  # the lock file goes with the lock
            path.unlink(missing_ok=True)
        return left
    return []


def _is_stale(path: Path) -> bool:
    """Return True if a file is older than any lock, so that nobody writes it."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > lock.LEASE
    return False


def _run_line(folder: Path) -> dict[str, Any]:
    """Return one run as a line of the table, from its spec and root attributes."""
    try:
        record = Record(folder)
        attrs = record.attrs
        line = _line(record.spec, attrs, status_of(record, attrs), record.steps)
        return line | _annotated(annotation_of(record))
    except (StoreError, KeyError):
        return _damaged(folder_id(folder), folder.parent.name)


def _pack_lines(folder: Path) -> list[dict[str, Any]]:
    """Return the cells of a pack as lines of the table."""
    try:
        pack = Pack(folder)
        attrs, steps, headlines = pack.attrs, pack.committed.min(axis=1), pack.headlines
        status, about = status_of(pack, attrs), annotations_in(folder)
        lines = [
            _line(spec, attrs | {"headline": headlines.get(spec.id)}, status, int(last))
            for spec, last in zip(pack.specs, steps, strict=True)
        ]
        none = Annotation()
        return [line | _annotated(about.get(line["id"], none)) for line in lines]
    except (StoreError, KeyError):
        ids = cell_ids(folder) or [folder.name]
        return [_damaged(id_, folder.parents[1].name) for id_ in ids]


def _annotated(annotation: Annotation) -> dict[str, str]:
    """Return the columns of an annotation; a field of a task may have their names."""
    columns = annotation._replace(tags=" ".join(annotation.tags))._asdict()
    return {name: text for name, text in columns.items() if text}


def _damaged(id_: str, task: str) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {"id": id_, "task": task, "status": "damaged"}


def _line(
    spec: Spec, attrs: Mapping[str, Any], status: str, steps: int
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": spec.id,
        "task": spec.identity["task"],
        "status": status,
        "steps": steps,
        "seed": spec.identity["seed"],
        "created": pd.Timestamp(round(attrs["created"]), unit="s"),
    }
    for name, (value, error, *_) in (attrs.get("headline") or {}).items():
        pair = {name: value, f"{name}_error": error}
        line |= {n: float(v) if isinstance(v, str) else v for n, v in pair.items()}
    for name, value in field_values(spec).items():
        if name not in line:
            line[name] = str(value) if isinstance(value, list) else value
    return line


def _select(text: str, table: pd.DataFrame) -> pd.Series:
    """Return a mask of the lines that a condition on columns holds for."""
    condition = Condition(text, "where", "energy < -8.07 and status == 'complete'")

    def column(name: str) -> Any:
        if name not in table:
            hint = did_you_mean(name, map(str, table.columns))
            raise condition.error(f"no column '{name}'{hint}")
        return table[name]

    every = pd.Series(True, index=table.index)
    return condition.evaluate(column, every).astype(bool)
