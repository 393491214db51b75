"""The verb ``rm``: what is deleted is named, and asked for, before it goes."""

from __future__ import annotations

import sys
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
        bool, option("Of a sweep: also those of its runs that no other sweep has.")
    ] = False,
    yes: Annotated[bool, option("Do not ask.")] = False,
    store: Store = None,
) -> Answer:
    """Delete a run and all it stored; or a sweep, whose runs stay."""
    from heliostat.stored import find
    from heliostat.sweeps.ledger import is_sweep

    if is_sweep(run, store):
        return _sweep(run, runs, yes, store)
    path = find(run, store)
    if runs:
        raise RequestError(f"--runs: {path.name} is a run, the option is for sweeps")
    if not _confirmed(path, "all it stored", yes):
        return Answer(["nothing was deleted"])
    hs.remove(path.name, store=path.parents[1])
    return Answer([f"deleted {path}"])


def _sweep(id_: str, runs: bool, yes: bool, store: str | None) -> Answer:
    from heliostat.sweeps.ledger import find
    from heliostat.sweeps.removing import own_runs

    path = find(id_, store)
    told = f"{len(own_runs(path))} records of its runs" if runs else "none of its runs"
    if not _confirmed(path, told, yes):
        return Answer(["nothing was deleted"])
    gone = hs.remove_sweep(path.name, runs=runs, store=path.parents[1])
    return Answer([f"deleted {folder}" for folder in gone])


def _confirmed(path: Path, more: str, yes: bool) -> bool:
    """Whether it may go.

    Raises:
        RequestError: if nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        line = f"deleting {path.name} wants --yes where nobody can be asked"
        raise RequestError(line)
    question = f"delete {path} and {more}? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
