"""Lazy arrays of many runs: a run is read when its part is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import (
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

Index = tuple[int, ...]


class LazyStack(BackendArray):
    """One variable of many runs, ``(*places, *rest)``.

    Entries that no run has (of a failed cell, or after the last step of a run) are NaN,
    or "" of text.

    Args:
        parts: for each place a function that reads the variable, of shape ``rest`` or
            with fewer steps.
        places: sizes of the leading axes.
        rest: shape behind them, that of the longest run.
        dtype: type of floats or text; integers become float64, which has NaN.
    """

    def __init__(
        self,
        parts: Mapping[Index, Callable[[], np.ndarray]],
        places: Index,
        rest: Index,
        dtype: np.dtype[Any],
    ) -> None:
        self.parts, self.places, self.rest = parts, places, rest
        self.shape, self.dtype = (*places, *rest), dtype

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(
            key, self.shape, IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        outer, inner = key[: len(self.places)], key[len(self.places) :]
        grid = np.empty(self.places, object)
        grid[...] = [None]
        for place in np.ndindex(*self.places):
            grid[place] = place
        selected = grid[outer]
        if not isinstance(selected, np.ndarray):
            return self._part(selected)[inner]
        parts = [self._part(place)[inner] for place in selected.ravel()]
        shape = parts[0].shape if parts else ()
        stack = np.empty((len(parts), *shape), self.dtype)
        for index, part in enumerate(parts):
            stack[index] = part
        return stack.reshape(*selected.shape, *shape)

    def _part(self, place: Index) -> np.ndarray:
        """Read one place, filled up to the shape of the longest run."""
        text = self.dtype.kind == "T"
        full = np.full(self.rest, "" if text else np.nan, self.dtype)
        if place in self.parts:
            values = self.parts[place]()
            full[tuple(slice(0, n) for n in values.shape)] = values
        return full


def variable(
    dims: tuple[str, ...], array: LazyStack, attrs: Mapping[Any, Any]
) -> xr.Variable:
    return xr.Variable(dims, LazilyIndexedArray(array), dict(attrs))
