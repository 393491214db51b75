"""Deleting a sweep: what it wrote down, and its runs where no other sweep has them."""

from __future__ import annotations

import shutil
from pathlib import Path

from heliostat.store.index import ids_in, packs_in
from heliostat.store.lock import Lock
from heliostat.sweeps.ledger import FOLDER, find, runs_in


def remove_sweep(
    sweep: str,
    *,
    runs: bool = False,
    store: str | Path | None = None,
    dry_run: bool = False,
) -> list[Path]:
    """Delete a sweep. Its runs stay, unless it is said.

    Args:
        sweep: its id, or the first digits of it.
        runs: delete those of its runs, too, that no other sweep of the store has; cells
            of a pack only all together.
        dry_run: only say what would be deleted.

    Returns:
        What was deleted, or would be.

    Raises:
        RequestError: if there is no such sweep.
        Busy: if it, or one of these runs, is being driven.

    Example:
        >>> hs.remove_sweep("8c858a80", runs=True)  # doctest: +SKIP
    """
    path = find(sweep, store)
    if dry_run:
        return _doomed(path, runs)
    with Lock(path):
        doomed = _doomed(path, runs)
        for folder in doomed[:-1]:
            with Lock(folder):
                shutil.rmtree(folder)
        shutil.rmtree(path)
    return doomed


def _doomed(sweep: Path, runs: bool) -> list[Path]:
    """What goes; the sweep last: whatever comes between, it can be done again."""
    return [*(own_runs(sweep) if runs else []), sweep]


def own_runs(sweep: Path) -> list[Path]:
    """The records, of runs or of packs, that belong to one sweep alone."""
    root = sweep.parents[1]
    others = (p for p in (root / FOLDER).iterdir() if p != sweep)
    own = runs_in(sweep).difference(*map(runs_in, others))
    alone = (spec.parent for spec in root.glob("*/*/spec.json"))
    packs = (pack for pack in packs_in(root) if (ids := ids_in(pack)) and own >= {*ids})
    return sorted([*(folder for folder in alone if folder.name in own), *packs])
