"""The rows of many runs as one lazy array: a run is read when its part is asked for."""

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

Place = tuple[int, ...]


class LazyStack(BackendArray):
    """One variable of many runs, ``(*places, *rest)``.

    What no run has (a cell that failed, steps after its last one) is NaN, "" for text.

    Args:
        parts: how to read the variable of each place, ``rest`` or shorter in steps.
        places: sizes of the leading axes.
        rest: shape behind them, that of the longest run.
        dtype: of floats, or text; whole numbers become float64, which has NaN.
    """

    def __init__(
        self,
        parts: Mapping[Place, Callable[[], np.ndarray]],
        places: Place,
        rest: Place,
        dtype: np.dtype[Any],
    ) -> None:
        self.parts, self.places, self.rest = parts, places, rest
        self.shape, self.dtype = (*places, *rest), dtype

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(
            key, self.shape, IndexingSupport.BASIC, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        where, within = key[: len(self.places)], key[len(self.places) :]
        wanted = np.empty(self.places, object)
        wanted[...] = [None]
        for place in np.ndindex(*self.places):
            wanted[place] = place
        picked = wanted[where]
        if not isinstance(picked, np.ndarray):
            return self._part(picked)[within]
        found = [self._part(place)[within] for place in picked.ravel()]
        inner = found[0].shape if found else ()
        whole = np.empty((len(found), *inner), self.dtype)
        for index, part in enumerate(found):
            whole[index] = part
        return whole.reshape(*picked.shape, *inner)

    def _part(self, place: Place) -> np.ndarray:
        """What a place has, filled up to the shape of the longest."""
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
