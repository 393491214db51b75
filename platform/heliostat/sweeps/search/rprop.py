"""Descent by the signs of slopes: where the next trial of a search lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heliostat.sweeps.axes import Range
from heliostat.sweeps.plan import VALIDATION

FIRST, LONGER, SHORTER = 0.25, 1.2, 0.5
"""The first step as a share of a range, and what becomes of it."""


class Rprop:
    """Sign descent with a step of its own along each axis.

    With z the share of the way along an axis, in the logarithm where the axis is,

        z ← clip(z − s sign(∂L/∂z), 0, 1)      s ← 1.2 s, or s / 2 where the sign turned

    Only signs are used, so it does not matter what L is measured in, and ∂L/∂z has that
    of ∂L/∂k.  From where L is higher than before, or not finite, it goes half of the
    way back: so a slope that misleads, as those of chaotic runs do, costs a trial only.

    Args:
        axes: the ranges, by field.
        start: the first point, as shares.

    Example:
        >>> found = Rprop({"lr": Range(0.01, 1, log=True)}, [0.5])
        >>> found.propose(0)
        {'lr': 0.1}
        >>> found.tell(0, {"validation": 1.0, "lr": 2.0})  # L rises with it
        >>> found.propose(1)
        {'lr': 0.0316227766017}

    Reference: Riedmiller and Braun, ICNN 1993 [Rprop]; Igel and Hüsken,
    Neurocomputing 50, 105 (2003) [variants that go back].
    """

    def __init__(self, axes: Mapping[str, Range], start: Sequence[float]) -> None:
        self._axes, self._at = axes, np.array(start, float)
        self._good, self._loss = self._at, np.inf  # the last point that was better
        self._steps = np.full(len(axes), FIRST)
        self._signs = np.zeros(len(axes))
        self.still = False  # there is nowhere to go

    def propose(self, trial: int) -> dict[str, float]:
        """The values of the next trial."""
        pairs = zip(self._axes.items(), self._at, strict=True)
        return {name: axis.at(float(z), whole=False) for (name, axis), z in pairs}

    def tell(self, trial: int, found: Mapping[str, float]) -> None:
        """What a trial found.

        Args:
            found: L as ``validation``, and its slope by field; not finite if it failed.
        """
        before, loss = self.propose(trial), found[VALIDATION]
        slopes = np.array([found[name] for name in self._axes])
        finite = np.isfinite([loss, *slopes]).all()
        if finite and loss <= self._loss:
            self._downhill(np.sign(slopes))
            self._loss = loss
        else:
            self._back()
            self._signs = np.sign(slopes) if finite else self._signs
        self.still = self.propose(trial) == before

    def _back(self) -> None:
        self._at = (self._at + self._good) / 2
        self._steps = self._steps * SHORTER

    def _downhill(self, signs: np.ndarray) -> None:
        turned = signs * self._signs
        self._steps = np.where(turned > 0, self._steps * LONGER, self._steps)
        self._steps = np.where(turned < 0, self._steps * SHORTER, self._steps)
        self._good, self._signs = self._at, signs
        self._at = np.clip(self._at - self._steps * signs, 0, 1)
