"""Scales, colours and labels of all plots of sweeps."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

COLOURS = "viridis"


class Scale(NamedTuple):
    """Places of values on an axis."""

    places: np.ndarray
    names: list[str] | None  # of 0, 1, ..., of values that are no numbers
    log: bool  # the axis is logarithmic

    def shares(self) -> np.ndarray:
        """Return places as shares of their range; the middle, if they are all equal."""
        scaled = np.log(self.places) if self.log else self.places
        low, high = np.nanmin(scaled), np.nanmax(scaled)
        if self.names is not None:
            low, high = 0, len(self.names) - 1
        if high > low:
            return (scaled - low) / (high - low)
        return np.full(len(scaled), 0.5)

    def marks(self) -> list[tuple[float, str]]:
        """Return texts at shares of the range: all names, or both ends."""
        if self.names is not None and len(self.names) > 1:
            last = len(self.names) - 1
            return [(index / last, name) for index, name in enumerate(self.names)]
        low, high = np.nanmin(self.places), np.nanmax(self.places)
        name = self.names[0] if self.names else spell(low)
        return [(0, name), (1, spell(high))] if high > low else [(0.5, name)]


def scale(values: np.ndarray, order: Iterable[Any] = ()) -> Scale:
    """Return the scale of values: logarithmic for numbers over many decades; values
    that are no numbers are numbered.

    Args:
        order: order of values that are no numbers; default their first appearance.
    """
    if values.dtype.kind not in "iuf" or np.isnan(values).any():  # NaN stands for None
        names = list(dict.fromkeys(map(name, [*order, *values])))
        places = [names.index(name(value)) for value in values]
        return Scale(np.array(places, float), names, False)
    positive = len(values) and values.min() > 0 and values.max() > 30 * values.min()
    return Scale(values.astype(float), None, bool(positive))


def name(value: Any) -> str:
    """Return the text of a value in a list: of NaN, which stands for None, "None".

    Example:
        >>> name(np.float64(2)), name(2), name(np.nan), name("a")
        ('2', '2', 'None', 'a')
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float):
        return str(value)
    return "None" if value != value else f"{value:.12g}"


def norm(values: np.ndarray) -> Any:
    """Return the normalisation of finite values for matplotlib's colours."""
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    return (LogNorm if scale(finite).log else Normalize)(finite.min(), finite.max())


def label(values: xr.DataArray) -> str:
    """Return the name of a variable with its unit."""
    unit = values.attrs.get("units", "1")
    return f"{values.name} ({unit})" if unit != "1" else str(values.name)


def spell(value: Any) -> str:
    finite = isinstance(value, float | np.floating) and value == value
    return f"{value:.3g}" if finite else name(value)
