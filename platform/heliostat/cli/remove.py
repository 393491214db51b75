"""Verbs that delete: ``rm`` lists the folders and asks, ``gc`` removes remains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import heliostat as hs
from heliostat.answer import Answer
from heliostat.cli.options import Store, option
from heliostat.errors import RequestError


def rm(
    run: Annotated[str, option("Id of a run or a sweep, or its first digits.")],
    /,
    *,
    runs: Annotated[
        bool, option("For a sweep: delete also its runs that belong to no other sweep.")
    ] = False,
    yes: Annotated[bool, option("Do not ask for confirmation.")] = False,
    dry_run: Annotated[bool, option("Print what would be deleted; delete nothing.")] = (
        False
    ),
    store: Store = None,
) -> Answer:
    """Delete a run with its record; or a sweep, without its runs."""
    from heliostat.driver.verbs import check_removable
    from heliostat.results.lookup import find_run
    from heliostat.sweeps.journal import is_sweep

    if is_sweep(run, store):
        delete = partial(hs.remove_sweep, run, runs=runs, store=store)
        return _deleted(delete(dry_run=True), dry_run, yes, delete)
    path = find_run(run, store)
    if runs:
        raise RequestError(
            f"--runs: {path.name} is a run; the option is only for sweeps"
        )
    check_removable(path)
    delete = partial(hs.remove, path.name, store=path.parents[1])
    return _deleted([path], dry_run, yes, delete)


def gc(*, store: Store = None) -> Answer:
    """Remove what crashes and old programs left here; runs are never removed."""
    removed = hs.gc(store)
    return Answer([f"removed {path}" for path in removed] or ["nothing to remove"])


def _deleted(
    folders: list[Path],
    dry_run: bool,
    yes: bool,
    delete: Callable[[], list[Path] | None],
) -> Answer:
    """Delete folders after confirmation.

    Args:
        folders: the folders; the one that the user named is last.
    """
    if dry_run:
        return Answer([f"would delete {folder}" for folder in folders])
    if not _confirmed(folders, yes):
        return Answer(["nothing was deleted"])
    deleted = delete() or folders
    return Answer([f"deleted {folder}" for folder in deleted])


def _confirmed(folders: list[Path], yes: bool) -> bool:
    """Ask on the terminal.

    Raises:
        RequestError: without a terminal.
    """
    if yes:
        return True
    *more, path = folders
    if not sys.stdin.isatty():
        line = f"deleting {path.name} needs --yes if there is no terminal"
        raise RequestError(line)
    runs = f", and {len(more)} records of its runs" if more else ""
    print(f"delete {path}{runs}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
