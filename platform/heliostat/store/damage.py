"""Damage of a record, found where it is read: one line that names the part."""

from __future__ import annotations

import errno
import os
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

from heliostat.errors import CannotRead, RequestError, StoreError

END_OF_TIME = 2.5e11
"""Seconds of the last time that Python can format, in the year 9892."""

FAULTS_OF_MACHINES = {
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
}
"""Errors of a system that cannot read a file now, whatever the file holds."""


@contextmanager
def as_store_error(subject: str) -> Generator[None]:
    """Turn any error of zarr, its codecs or JSON into a :class:`StoreError`.

    Raises:
        StoreError: "``subject`` is damaged", with the reason, in one line.
        CannotRead: "``subject`` cannot be read", if permissions, memory or the disk are
            to blame.
        RequestError: as it is.
    """
    try:
        yield
    except (StoreError, RequestError):
        raise
    except Exception as error:
        if reason := _fault_of_machine(error):
            raise CannotRead(f"{subject} cannot be read ({reason})") from error
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(f"{subject} is damaged ({reason})") from error


def _fault_of_machine(error: Exception) -> str:
    """Return why this machine cannot read; empty if what it read is wrong."""
    if isinstance(error, MemoryError):
        return "out of memory"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number in FAULTS_OF_MACHINES else ""


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
