"""Rows in formats of other programs: netCDF with all attributes, or CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from heliostat.errors import RequestError
from heliostat.results.output import write_output

NETCDF = ("", ".nc", ".nc4", ".cdf", ".h5", ".hdf5")
"""Endings of a netCDF-4 file, which is an HDF5 file."""


def check_format(path: str | Path) -> None:
    """Check that the ending of a name is that of a format.

    Raises:
        RequestError: for any other ending.
    """
    if Path(path).suffix.lower() not in (*NETCDF, ".csv"):
        raise RequestError(f"{path}: expected FILE.nc (netCDF) or FILE.csv")


def export(rows: xr.Dataset, path: str | Path) -> Path:
    """Write the rows of a run to a file, whose ending gives the format.

    Raises:
        RequestError: if the file cannot be written, or for CSV without rows.
    """
    if Path(path).suffix.lower() == ".csv":
        if not rows.data_vars:
            raise RequestError(f"{path}: the run has no rows yet")
        dims = rows.attrs.get("replica_dim"), rows.attrs["step_dim"]
        table = table_of_rows(rows, [str(dim) for dim in dims if dim in rows.dims])
        return write_output(path, table.to_csv(index=False).encode())
    return write_output(path, rows.to_netcdf(engine="h5netcdf"))


def table_of_rows(rows: xr.Dataset, dims: Sequence[str]) -> pd.DataFrame:
    """Return rows as a table: a line for each replica and step.

    A variable with further dims has a column for each of its entries.

    Args:
        rows: variables, each with all of ``dims``.
        dims: the dims of a line: replica (if there are several) and step.

    Example:
        >>> row = {"x": ("step", [1.0, 2.0]), "f": (("step", "d"), [[3, 4], [5, 6]])}
        >>> table_of_rows(xr.Dataset(row), ["step"]).columns.tolist()
        ['step', 'f[0]', 'f[1]', 'x']
    """
    index = pd.MultiIndex.from_product([rows.get_index(d) for d in dims], names=dims)
    columns = {}
    for name in sorted(map(str, rows.data_vars)):  # zarr's order is the folder's
        columns |= _columns(name, rows[name].transpose(*dims, ...), len(dims))
    return pd.DataFrame(columns, index).reset_index()


def _columns(name: str, array: xr.DataArray, dims: int) -> dict[str, np.ndarray]:
    """Return a column for each entry along the dims behind the first ones."""
    lines = array.values.reshape(-1, *array.shape[dims:])
    return {
        f"{name}[{','.join(labels)}]" if labels else name: lines[:, *place]
        for place, labels in _entries(array, dims)
    }


def _entries(
    array: xr.DataArray, dims: int
) -> Iterator[tuple[tuple[int, ...], list[str]]]:
    """Yield the place and the labels of each entry along the further dims."""
    axes = [array.get_index(dim) for dim in array.dims[dims:]]
    for place in np.ndindex(*map(len, axes)):
        yield place, [str(axis[i]) for axis, i in zip(axes, place, strict=True)]
