"""Lazy arrays of many runs: a run is read when its part is needed.

The cells of a pack lie side by side in one array, so they are read together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import (
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

from heliostat.sweeps.slabs import Key, Slab


class LazyStack(BackendArray):
    """One variable of many runs, ``(*places, *rest)``.

    Entries that no run has (of a failed cell, or after the last step of a run) are NaN,
    or "" of text.

    Args:
        name: name of the variable.
        slabs: the runs; those of one slab are read together.
        places: sizes of the leading axes.
        rest: shape behind them, that of the longest run.
        dtype: type of floats or text; integers become float64, which has NaN.
    """

    def __init__(
        self,
        name: Any,
        slabs: Sequence[Slab],
        places: tuple[int, ...],
        rest: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.name, self.slabs, self.rest = name, slabs, rest
        self.shape, self.dtype = (*places, *rest), dtype
        self._slab, self._run = np.full((2, *places), -1)  # of each place
        for number, slab in enumerate(slabs):
            index = tuple(np.transpose(slab.places))
            self._slab[index], self._run[index] = number, np.arange(len(slab.places))

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(
            key, self.shape, IndexingSupport.BASIC, self._read
        )

    def _read(self, key: Key) -> np.ndarray:
        outer, inner = key[: self._slab.ndim], key[self._slab.ndim :]
        slabs, runs = self._slab[outer], self._run[outer]
        result = self._empty((*slabs.shape, *_shape(self.rest, inner)))
        flat = result.reshape(-1, *result.shape[slabs.ndim :])
        for number in np.unique(slabs[slabs >= 0]):
            chosen = np.flatnonzero(slabs == number)
            self._fill(flat, chosen, self.slabs[number], runs.ravel()[chosen], inner)
        return result

    def _empty(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.full(shape, "" if self.dtype.kind == "T" else np.nan, self.dtype)

    def _fill(
        self,
        flat: np.ndarray,
        chosen: np.ndarray,
        slab: Slab,
        runs: np.ndarray,
        key: Key,
    ) -> None:
        """Write the part of one slab into the chosen lines; it may have fewer steps."""
        within = _clip(key, self.rest, slab.sizes(self.name))
        if within is None:
            return
        values = slab.read(self.name, runs, within)
        flat[(chosen, *(slice(0, n) for n in values.shape[1:]))] = values


def variable(
    dims: tuple[str, ...], array: LazyStack, attrs: Mapping[Any, Any]
) -> xr.Variable:
    return xr.Variable(dims, LazilyIndexedArray(array), dict(attrs))


def _shape(sizes: Sequence[int], key: Key) -> tuple[int, ...]:
    """Return the shape of the part of an array that a key selects."""
    return np.broadcast_to(np.empty(()), sizes)[key].shape


def _clip(key: Key, sizes: Sequence[int], own: Sequence[int]) -> Key | None:
    """Return a key for a smaller array, which has the first entries of each axis.

    Returns:
        None if the key selects an entry that the smaller array does not have.
    """
    if len(own) < len(sizes):
        return None
    clipped: list[int | slice] = []
    for part, size, end in zip(key, sizes, own, strict=True):
        chosen = range(size)[part]
        if isinstance(chosen, range):
            clipped.append(slice(chosen.start, min(chosen.stop, end), chosen.step))
        elif chosen < end:
            clipped.append(chosen)
        else:
            return None
    return tuple(clipped)
