"""Distillation of scikit-learn's 8 × 8 digits into ten images or fewer.

Reference: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI Machine
Learning Repository (1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliostat_tasks.bilevel.problems.distillation import Distillation
from heliostat_tasks.bilevel.problems.problem import Data, Examples, ProblemDefaults

TRAIN = 1400
"""Number of training images; the other 397 are for tests."""


@dataclass(frozen=True)
class Digits(Distillation):
    """Distillation for a network 64-``hidden``-10, with pixels from 0 to 1."""

    settings = ProblemDefaults(10, "neumann", 200, 0.1, 0.02, "adam", 800)
    classes = 10

    @property
    def examples(self) -> int:
        return TRAIN

    def data(self) -> Data:
        return Data(*digits(self.seed))


def digits(seed: int) -> tuple[Examples, Examples]:
    """Load 1,400 training and 397 test images, shuffled by the seed."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = np.asarray(x)[order] / 16, np.asarray(y)[order].astype(np.int32)
    return Examples(x[:TRAIN], y[:TRAIN]), Examples(x[TRAIN:], y[TRAIN:])
