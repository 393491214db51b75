"""How all pictures of sweeps scale, colour and label what they show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

COLOURS = "viridis"


class Scale(NamedTuple):
    """Where values lie on an axis."""

    places: np.ndarray
    names: list[str] | None  # of 0, 1, ... where values are no numbers
    log: bool  # whether by decades

    def shares(self) -> np.ndarray:
        """Places as shares of their range; the middle, where there is no range."""
        scaled = np.log(self.places) if self.log else self.places
        low, high = np.nanmin(scaled), np.nanmax(scaled)
        if self.names is not None:
            low, high = 0, len(self.names) - 1
        if high > low:
            return (scaled - low) / (high - low)
        return np.full(len(scaled), 0.5)

    def marks(self) -> list[tuple[float, str]]:
        """What is written on it, at shares of its range: all names, or both ends."""
        if self.names is not None and len(self.names) > 1:
            last = len(self.names) - 1
            return [(index / last, name) for index, name in enumerate(self.names)]
        low, high = np.nanmin(self.places), np.nanmax(self.places)
        name = self.names[0] if self.names else spell(low)
        return [(0, name), (1, spell(high))] if high > low else [(0.5, name)]


def scale(values: np.ndarray, order: Iterable[Any] = ()) -> Scale:
    """Numbers as they are, by decades if they go over many; others are numbered.

    Args:
        order: of those that are no numbers; default that in which they are met.
    """
    if values.dtype.kind not in "iuf":
        names = list(dict.fromkeys(map(str, [*order, *values])))
        places = [names.index(str(value)) for value in values]
        return Scale(np.array(places, float), names, False)
    positive = len(values) and values.min() > 0 and values.max() > 30 * values.min()
    return Scale(values.astype(float), None, bool(positive))


def norm(values: np.ndarray) -> Any:
    """What matplotlib makes colours of finite values with."""
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)]
    return (LogNorm if scale(finite).log else Normalize)(finite.min(), finite.max())


def label(values: xr.DataArray) -> str:
    unit = values.attrs.get("units", "1")
    return f"{values.name} ({unit})" if unit != "1" else str(values.name)


def spell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
