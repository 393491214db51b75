"""Damage of a record, found where it is read: one line that names the part."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import (
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

from heliostat.errors import RequestError, StoreError

END_OF_TIME = 2.5e11
"""Seconds of the last time that Python can format, in the year 9892."""


@contextmanager
def as_store_error(subject: str) -> Generator[None]:
    """Turn any error of zarr, its codecs or JSON into a :class:`StoreError`.

    Raises:
        StoreError: "``subject`` is damaged", with the reason, in one line.
        RequestError: as it is.
    """
    try:
        yield
    except (StoreError, RequestError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{subject} is damaged ({reason})") from error


def with_store_errors(data: xr.Dataset, subject: str) -> xr.Dataset:
    """Return a lazy dataset whose damaged parts raise a StoreError when they are read.

    Args:
        data: a dataset opened from zarr.
        subject: the record, for messages.
    """
    lazy = {
        name: xr.Variable(
            variable.dims,
            LazilyIndexedArray(_Stored(variable, f"{subject}: {name}")),
            variable.attrs,
            variable.encoding,
        )
        for name, variable in data.variables.items()
        if name in data.data_vars
    }
    return data.assign(lazy)


class _Stored(BackendArray):
    """A stored variable; any error of zarr or its codecs is one line."""

    def __init__(self, variable: xr.Variable, subject: str) -> None:
        self.variable, self.subject = variable, subject
        self.shape, self.dtype = variable.shape, variable.dtype

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(
            key, self.shape, IndexingSupport.OUTER, self._read
        )

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with as_store_error(self.subject):
            return self.variable[key].values
