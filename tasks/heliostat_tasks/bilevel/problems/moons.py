"""Distillation of two interleaving half circles into one or two points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliostat_tasks.bilevel.problems.distillation import Distillation
from heliostat_tasks.bilevel.problems.problem import Data, Examples, ProblemDefaults

NOISE = 0.15
TRAIN = 200
"""Number of training points; 1,000 others are for tests."""


@dataclass(frozen=True)
class Moons(Distillation):
    """Distillation of ``make_moons``: 200 training points and 1,000 for tests."""

    settings = ProblemDefaults(2, "unroll", 100, 0.2, 0.02, "adam", 600)
    classes = 2

    @property
    def examples(self) -> int:
        return TRAIN

    def data(self) -> Data:
        from sklearn.datasets import make_moons

        x, y = make_moons(TRAIN + 1000, noise=NOISE, random_state=self.seed)
        x, y = np.asarray(x), np.asarray(y).astype(np.int32)
        return Data(Examples(x[:TRAIN], y[:TRAIN]), Examples(x[TRAIN:], y[TRAIN:]))
