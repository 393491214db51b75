"""A bowl-shaped task for searches: the order of trials shows early."""

from __future__ import annotations

from dataclasses import dataclass

import heliostat as hs


@dataclass(frozen=True)
class Bowl(hs.Task):
    """loss(t) = (x - 0.3)² + (y - 2)²/100 + 1/t"""

    x: float = 0.0  # one coordinate
    y: int = 0  # another
    emits = {"loss": hs.Var()}
    finds = ("loss", "cost")
    traced, stride, steps = False, 1, 27

    def init(self, key, replica, data):
        return 0

    def step(self, key, state, data):
        t = state + 1
        if self.x > 0.99:
            raise ValueError("too far")
        return t, {"loss": (self.x - 0.3) ** 2 + (self.y - 2) ** 2 / 100 + 1 / t}

    def headline(self, rows):
        last = float(rows.loss.isel(step=-1))
        return {"loss": hs.Estimate(last), "cost": hs.Estimate(self.x**2)}
