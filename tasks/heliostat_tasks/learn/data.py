"""Training and test states, and the quantities that are computed from them once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8

import heliostat as hs
from heliostat_tasks.learn.lattice import draw_states, true_couplings
from heliostat_tasks.learn.loaders import load, split
from heliostat_tasks.learn.models import DensityFamily


class States(NamedTuple):
    """States on the host, and the couplings that they came from, if these are known."""

    train: UInt8[np.ndarray, "n sites"]
    test: UInt8[np.ndarray, "m sites"]
    truth: Float[np.ndarray, " ..."] | None = None


class Data(NamedTuple):
    """States for the device, with the quantities that are computed from them once."""

    train: Any  # (n, D) uint8
    test: Any  # (m, D) uint8
    moments: Any  # moments of both sets, for linear models; else ()
    base: Any  # (D, K) log-probabilities of independent sites
    baseline: Any  # () mean log-likelihood of the test set under these, nats
    truth: Any  # like the model's couplings; 0 if unknown


def read(data: hs.File, test: hs.File | None, values: int) -> States:
    """Read states from files.

    Args:
        data: training states, and perhaps test states.
        test: test states; default those of ``data``, or every fifth of its states.
        values: number of values of a site.

    Raises:
        heliostat.RequestError: for a file without states, or of other sites.
    """
    train, held_out = load(data, values)
    if test is not None:
        held_out = load(test, values)[0]
    if held_out is None:
        train, held_out = split(train)
    if train.shape[1] != held_out.shape[1]:
        raise hs.RequestError(
            f"{data} has {train.shape[1]} sites, the test set {held_out.shape[1]}"
        )
    if not len(train) or not len(held_out) or train.shape[1] < 2:
        raise hs.RequestError(
            f"{data} has {len(train)} + {len(held_out)} states of {train.shape[1]} "
            "sites: expected two sites or more, and states to train and to test on"
        )
    return States(train, held_out)


def digits() -> States:
    """Load scikit-learn's 8 × 8 digits as bits: 1,438 to train on, 359 to test on.

    Reference: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI
    Machine Learning Repository (1998).
    """
    from sklearn.datasets import load_digits

    grey = np.asarray(load_digits(return_X_y=True)[0]) / 16
    return States(*split((grey > 0.5).astype(np.uint8)))


def lattice(size: int, values: int, coupling: float, samples: int, seed: int) -> States:
    """Draw states of a lattice, with a quarter as many to test on.

    Args:
        size: side of the lattice.
        values: number of values of a site.
        coupling: K of each edge.
        samples: number of training states.
        seed: seed of the draws.
    """
    tests = max(1, samples // 4)
    x = draw_states(size, values, coupling, samples + tests, seed)
    truth = true_couplings(size, values, coupling)
    return States(x[:samples], x[samples:], truth)


def log_weights(
    x: Integer[np.ndarray, "n sites"], values: int
) -> Float[np.ndarray, "sites values"]:
    """Compute log-probabilities of independent sites, with one count added to each.

    Example:
        >>> np.exp(log_weights(np.array([[0, 1], [0, 1]]), 2)).round(6).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    counts = np.stack([np.sum(x == a, axis=0) for a in range(values)], axis=1)
    return np.log((counts + 1.0) / (len(x) + values))


def baseline(
    base: Float[np.ndarray, "sites values"], x: Integer[np.ndarray, "n sites"]
) -> float:
    """Compute the mean log-likelihood of states under independent sites, in nats."""
    log_p = base[np.arange(x.shape[1])[None], x.astype(int)]
    return float(log_p.sum(1).mean())


def prepare(states: States, model: DensityFamily) -> Data:
    """Compute what a run needs of its states, once."""
    base = log_weights(states.train, model.values)
    both = (states.train, states.test)
    moments = tuple(model.summary(x) for x in both) if model.linear else ()
    truth = np.zeros(()) if states.truth is None else states.truth
    level = np.array(baseline(base, states.test))
    return Data(*both, moments, base, level, truth)
