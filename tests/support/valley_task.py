"""A quadratic valley for gradient descent, with its loss and slope in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar

import heliostat as hs

CURVES = np.array([1.0, 3.0, 9.0])
"""Curvatures: descent is stable for rates below 2/9."""

RATES = hs.Range(0.001, 1, log=True)


@dataclass(frozen=True)
class Valley(hs.Task):
    """w ← w − a h w from w = b, so that L = ½ Σ h b² (1 − a h)²ᵀ."""

    a: float = 0.1  # rate
    b: float = 1.0  # start
    kinks: int = 0  # a number that is no float
    packable = ("a", "b", "kinks")
    emits = {"w": hs.Var(("curve",))}
    stride, steps = 5, 10

    def init(self, key, replica, data):
        return self.b * jnp.ones(3)

    def step(self, key, state, data):
        w = state - self.a * jnp.asarray(CURVES, float) * state
        return w, {"w": w}

    def validation(self, state, data):
        return 0.5 * jnp.sum(jnp.asarray(CURVES, float) * state**2)


def loss(a, steps=10):
    """Return L of a run with b = 1."""
    return 0.5 * np.sum(CURVES * (1 - a * CURVES) ** (2 * steps))


def slope(a, steps=10):
    """Return dL/da of a run with b = 1."""
    return -steps * np.sum(CURVES**2 * (1 - a * CURVES) ** (2 * steps - 1))


@cache
def best():
    """Return the planted rate."""
    return minimize_scalar(loss, bounds=(0.1, 2 / 9), options={"xatol": 1e-12}).x
