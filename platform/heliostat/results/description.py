"""Data of a run as readers get them: names that work, attributes that name the run."""

from __future__ import annotations

from typing import Any

import xarray as xr

from heliostat.config import Spec
from heliostat.store.attributes import netcdf_attrs


def with_attributes(data: xr.Dataset, spec: Spec) -> xr.Dataset:
    """Return data with readable names, and with the run and its fields as attributes.

    A field is an attribute under its own name, unless the record has one of that name;
    ``fields`` has all of them as JSON.
    """
    identity, fields = spec.identity, field_values(spec)
    about = {"id": spec.id, "seed": identity["seed"], "x64": identity["x64"]}
    attrs = {**fields, **data.attrs, **about, "fields": fields}
    return readable(data).assign_attrs(netcdf_attrs(attrs))


def field_values(spec: Spec) -> dict[str, Any]:
    """Return the fields of a run as they were given; None as it was resolved."""
    resolved = spec.identity["fields"]
    return {n: resolved.get(n) if v is None else v for n, v in spec.passed.items()}


def readable(data: xr.Dataset) -> xr.Dataset:
    """Add an underscore to variables that xarray's own attributes would hide."""
    names = [str(name) for name in data.data_vars if hasattr(xr.Dataset, str(name))]
    return data.rename({name: f"{name}_" for name in names})
