"""Slabs: runs of a sweep whose rows lie in one record, and are read together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from heliostat.results.run import Run
from heliostat.store.zarr_format import CELL
from heliostat.sweeps.cells import Cell

Key = tuple[int | slice, ...]
"""Index of the axes of a run: a number or a slice for each."""


class Slab:
    """Cells of a sweep in one record: several of a pack, or one run.

    Args:
        cells: cells of the sweep.
        runs: their runs, in the same order.
        group: name of the group that is read.
        entries: that the cells have.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        runs: Sequence[Run],
        group: str,
        entries: int,
    ) -> None:
        self.record = runs[0].shared
        self.places = [cell.place for cell in cells]
        self.runs = {cell.id for cell in cells}
        self._numbers = np.array([run.record.cell or 0 for run in runs])
        self._group, self._entries = group, entries
        self._checked: set[int] = set()  # cells whose files are known to be complete

    @cached_property
    def _table(self) -> xr.Dataset:
        return self.record.table(self._group, self._entries, cells=())

    @cached_property
    def one(self) -> xr.Dataset:
        """The table of one of the runs."""
        several = CELL in self._table.dims
        return self._table.isel({CELL: 0}, drop=True) if several else self._table

    def sizes(self, name: Any) -> tuple[int, ...]:
        """Return the shape of a variable in each of the runs; empty without it."""
        return self.one[name].shape if name in self.one else ()

    def read(self, name: Any, runs: np.ndarray, key: Key) -> np.ndarray:
        """Return a part of a variable of some runs, ``(runs, ...)``.

        Raises:
            StoreError: if it is missing or damaged.
        """
        cells = self._numbers[runs]
        self._check(cells)
        values = self._table[name].variable
        if CELL in values.dims:
            return values[(_as_slice(cells), *key)].values
        one = values[key].values
        return np.broadcast_to(one, (len(runs), *one.shape))

    def _check(self, cells: np.ndarray) -> None:
        if unchecked := {*cells.tolist()} - self._checked:
            self.record.check_files(self._group, self._entries, unchecked)
            self._checked |= unchecked


def slabs_of(
    cells: Sequence[Cell],
    runs: Mapping[str, Run],
    group: str,
    entries: Mapping[str, int],
) -> list[Slab]:
    """Return the slabs of cells: those of one pack that have as many entries.

    Args:
        entries: in the group, by run.
    """
    together: dict[tuple[Path, int], list[Cell]] = defaultdict(list)
    for cell in cells:
        id_ = cell.id
        together[runs[id_].record.folder, entries[id_]].append(cell)
    return [
        Slab(mates, [runs[cell.id] for cell in mates], group, length)
        for (_, length), mates in together.items()
    ]


def _as_slice(cells: np.ndarray) -> np.ndarray | slice:
    """Return successive cells as a slice, which is read faster."""
    successive = (np.diff(cells) == 1).all()
    return slice(int(cells[0]), int(cells[-1]) + 1) if successive else cells
