"""Every run of a store as one table."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pandas as pd

from heliostat import lock
from heliostat.condition import Condition
from heliostat.errors import Busy, StoreError, did_you_mean
from heliostat.stored import Run, store_folder

HALF_MADE = re.compile(r"\.[0-9a-f]{16}\.[0-9a-f]{8}")
"""Names that new runs bear until they are whole; nothing else hidden is ours."""

COLUMNS = ("id", "task", "status", "steps", "seed", "created")


def runs(
    task: str | None = None, where: str = "", store: str | Path | None = None
) -> pd.DataFrame:
    """A table of everything ever run: one line per run, headline and fields beside it.

    Columns are id, task, status, steps, seed, created, then each headline value with
    its ``_error``, then the fields of the tasks.  A damaged run is listed as damaged.

    Args:
        task: only runs of this task.
        where: a condition on columns, such as ``"energy < -8.07 and seed == 0"``.

    Raises:
        RequestError: for a condition that is none, or a column that does not exist.

    Example:
        >>> hs.runs(task="vmc").query("energy < -8.07")  # doctest: +SKIP
    """
    root = store_folder(store)
    folders = sorted(p.parent for p in root.glob(f"{task or '*'}/*/spec.json"))
    table = pd.DataFrame([_line(f) for f in folders if f.name[0] != "."])
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    if where:
        table = table.loc[_condition(where, table)]
    return table.sort_values("created", ignore_index=True)


def gc(store: str | Path | None = None) -> list[Path]:
    """Remove what crashes left behind: half-made runs, partial files, dead locks.

    Returns:
        What was removed. Runs themselves, also unfinished ones, are never touched.
    """
    root = store_folder(store)
    removed = []
    for path in sorted(root.glob("*/.*")):
        if HALF_MADE.fullmatch(path.name) and path.is_dir() and _stale(path):
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    for spec in sorted(root.glob("*/*/spec.json")):
        removed += _sweep(spec.parent)
    return removed


def _sweep(run: Path) -> list[Path]:
    """Remove the leftovers of one run, as its driver: so nobody starts meanwhile."""
    left = [*run.glob("lock.*"), *run.rglob("*.partial")]
    if not left or lock.holder(run):
        return []
    with contextlib.suppress(Busy, StoreError), lock.Lock(run) as mine:
        left = [p for p in left if p == mine.path or _stale(p)]
        for path in set(left) - {mine.path}:  # its own goes as the lock is given back
            path.unlink(missing_ok=True)
        return left
    return []


def _stale(path: Path) -> bool:
    """Whether nobody can be about to finish this file."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > lock.LEASE
    return False


def _line(folder: Path) -> dict[str, Any]:
    """One run as a line of the table, from its spec and the root attributes alone."""
    line: dict[str, Any] = dict.fromkeys(COLUMNS)
    line |= {"id": folder.name, "task": folder.parent.name}
    try:
        run = Run(folder)
        attrs = run.record.attrs
        created = pd.Timestamp(attrs["created"], unit="s").round("s")
        line |= {"status": run.status, "steps": run.record.steps, "created": created}
    except (StoreError, KeyError):
        return line | {"status": "damaged"}
    line["seed"] = run.spec.identity["seed"]
    for name, (value, error, *_) in (attrs.get("headline") or {}).items():
        pair = {name: value, f"{name}_error": error}
        line |= {n: float(v) if isinstance(v, str) else v for n, v in pair.items()}
    fields = run.spec.passed.items()
    return line | {
        n: str(v) if isinstance(v, list) else v for n, v in fields if n not in line
    }


def _condition(text: str, table: pd.DataFrame) -> pd.Series:
    """Which runs of a table a condition on its columns holds for."""
    condition = Condition(text, "where", "energy < -8.07 and status == 'complete'")

    def column(name: str) -> Any:
        if name not in table:
            hint = did_you_mean(name, map(str, table.columns))
            raise condition.refusal(f"no column '{name}'{hint}")
        return table[name]

    every = pd.Series(True, index=table.index)
    found: Any = condition.holds(column, every)
    return found.fillna(False).astype(bool)
