"""Rprop: descent by the signs of slopes, with a step size for each axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heliostat.sweeps.axes import Range

LOSS = "validation"
"""The name of the number that is minimised: the task's ``validation``."""

FIRST, LONGER, SHORTER = 0.25, 1.2, 0.5
"""The first step as a share of a range, and the factors that change it."""


class Rprop:
    """Sign descent with a step size for each axis.

    With z the share of the way along an axis, in the logarithm where the axis is,

        z ← clip(z − s sign(∂L/∂z), 0, 1)      s ← 1.2 s, or s / 2 where the sign turned

    Only signs are used: they do not depend on the unit of L, and ∂L/∂z has that of
    ∂L/∂k.  From a point where L is higher than before, or not finite, it goes half of
    the way back: a slope that misleads, as in chaotic runs, costs one trial.

    Args:
        axes: the ranges, by field.
        start: the first point, as shares.

    Example:
        >>> rule = Rprop({"lr": Range(0.01, 1, log=True)}, [0.5])
        >>> rule.ask(0)
        {'lr': 0.1}
        >>> rule.tell(0, {"validation": 1.0, "lr": 2.0})  # L rises with it
        >>> rule.ask(1)
        {'lr': 0.0316227766017}

    Reference: Riedmiller and Braun, ICNN 1993 [Rprop]; Igel and Hüsken,
    Neurocomputing 50, 105 (2003) [variants that go back].
    """

    def __init__(self, axes: Mapping[str, Range], start: Sequence[float]) -> None:
        self._axes, self._at = axes, np.array(start, float)
        self._best, self._loss = self._at, np.inf  # the last point that was better
        self._steps = np.full(len(axes), FIRST)
        self._signs = np.zeros(len(axes))
        self.exhausted = ""

    def ask(self, trial: int) -> dict[str, float]:
        """Return the values of the next trial."""
        pairs = zip(self._axes.items(), self._at, strict=True)
        return {name: axis.at(float(z), whole=False) for (name, axis), z in pairs}

    def tell(self, trial: int, values: Mapping[str, float]) -> None:
        """Move on from the result of a trial.

        Args:
            values: L as ``validation``, and its slope by field; not finite if the
                trial failed.
        """
        before, loss = self.ask(trial), values[LOSS]
        slopes = np.array([values[name] for name in self._axes])
        finite = np.isfinite([loss, *slopes]).all()
        if finite and loss <= self._loss:
            self._downhill(np.sign(slopes))
            self._loss = loss
        else:
            self._back()
            self._signs = np.sign(slopes) if finite else self._signs
        if self.ask(trial) == before:
            self.exhausted = self._reason(slopes, bool(finite))

    def _reason(self, slopes: np.ndarray, finite: bool) -> str:
        """Return why the next point is the last one."""
        if not finite:
            return "the first trial has no finite loss and slopes, so none leads on"
        if not slopes.any():
            return "every slope is 0: a minimum, or no field that changes the loss"
        if np.isin(self._at, (0, 1)).all():
            return "the loss falls towards the ends of all ranges; take wider ones"
        return "the steps have become too small to change a value"

    def _back(self) -> None:
        self._at = (self._at + self._best) / 2
        self._steps = self._steps * SHORTER

    def _downhill(self, signs: np.ndarray) -> None:
        turned = signs * self._signs
        self._steps = np.where(turned > 0, self._steps * LONGER, self._steps)
        self._steps = np.where(turned < 0, self._steps * SHORTER, self._steps)
        self._best, self._signs = self._at, signs
        self._at = np.clip(self._at - self._steps * signs, 0, 1)
