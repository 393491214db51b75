"""Find a stored run by its id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from heliostat.answer import command
from heliostat.config import registry
from heliostat.config.code import Code
from heliostat.errors import RequestError, did_you_mean
from heliostat.results.run import Run
from heliostat.store.annotations import runs_named
from heliostat.store.index import run_paths
from heliostat.task import Task


def store_folder(store: str | Path | None = None) -> Path:
    """Return the folder of a store: as given, else ``$HELIOSTAT_STORE``, ``./runs``.

    Raises:
        RequestError: for a URL.
    """
    text = str(store or os.environ.get("HELIOSTAT_STORE") or "runs")
    if "://" in text:
        raise RequestError(
            f"store '{text}': expected a folder; object stores are not supported yet"
        )
    return Path(text).expanduser()


def existing_store(store: str | Path | None = None) -> Path:
    """Return the folder of a store that is to be read.

    Raises:
        RequestError: for a URL, and if the caller names a folder that does not exist; a
            default store appears with the first run.
    """
    folder = store_folder(store)
    if store is None or folder.is_dir():
        return folder
    if folder.exists():
        raise RequestError(f"store {folder}: expected a folder, got a file")
    parent = folder.absolute().parent
    near = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
    hint = did_you_mean(folder.name, near, likeness=0.7)
    raise RequestError(f"no store {folder}{hint or '; it appears with its first run'}")


def open_run(
    run: str,
    *,
    store: str | Path | None = None,
    task: type[Task] | str | None = None,
    code: str | Sequence[str] = (),
) -> Run:
    """Open a stored run by its id, or by the first digits of the id.

    Args:
        run: the id, or as many of its first digits as no other run has; or the name of
            its folder, or the one that :func:`heliostat.tag` gave.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        task: the class of a task that is not installed, or FILE.py:CLASS; default
            the class of that name in this process.
        code: FILE.py:NAME of each function that is a field of the task; without them,
            the run can be read but not continued.

    Returns:
        The :class:`Run`.

    Raises:
        RequestError: if no run or several runs have these digits, or if the code is not
            the run's.
        StoreError: if what is stored is damaged.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> hs.open(run.id[:10]).headline["exact"].units
        '1/site'
    """
    return as_run(run, store, task, code)


def find_run(run: str, store: str | Path | None = None) -> Path:
    """Return the folder of a run, by its id's first digits, its folder or its name.

    A cell of a pack has no folder: the path is the one that it would have.

    Raises:
        RequestError: if there is no such store, or if no run or several runs have these
            digits.
    """
    if not isinstance(run, str | os.PathLike):
        thing = " ".join(repr(run).split())
        raise RequestError(f"expected a run or its id, got {thing:.60}")
    root, digits = existing_store(store), str(run).rpartition("/")[2]
    paths = run_paths(root)
    matches = {id_: path for path, id_ in paths.items() if path.name == digits}
    if digits and not matches:
        renamed_first = sorted(paths.items(), key=lambda item: item[0].name == item[1])
        matches = {id_: p for p, id_ in renamed_first if id_.startswith(digits)}
        matches |= runs_named(root, str(run))
    if not matches:
        runs = command("runs", "--store", root)
        raise RequestError(f"no run '{run}' in {root}; `{runs}` lists them")
    if len(matches) > 1:
        names = ", ".join(sorted(matches))
        raise RequestError(f"'{run}' is short for several runs: {names}")
    return next(iter(matches.values()))


def as_run(
    run: str | Run,
    store: str | Path | None,
    task: type[Task] | str | None = None,
    code: str | Sequence[str] = (),
) -> Run:
    """Return an open run, opened by its id if necessary, with its task's code if given.

    Raises:
        RequestError: if there is no such run, or if the code is not the run's.
    """
    cls = None if task is None else registry.task_class(task)
    codes = [Code(text) for text in ([code] if isinstance(code, str) else code)]
    if not isinstance(run, Run):
        opened = Run(find_run(run, store))
    elif codes:
        cls, opened = cls or type(run.task), run.reopen()
    else:
        return run
    if cls or codes:
        opened.rebuild_task(cls, codes)
    return opened
