"""How all pictures of sweeps scale, colour and label what they show."""

from __future__ import annotations

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
        if high > low:
            return (scaled - low) / (high - low)
        return np.full(len(scaled), 0.5)

    def ends(self) -> tuple[str, str]:
        """The least and the largest, spelled."""
        if self.names is not None:
            return self.names[0], self.names[-1]
        return spell(self.places.min()), spell(self.places.max())


def scale(values: np.ndarray) -> Scale:
    """Numbers as they are, by decades if they go over many; others are numbered."""
    if values.dtype.kind not in "iuf":
        names = list(dict.fromkeys(map(str, values)))
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
