"""What is learned from: states to train and to test on, and what is known of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import heliostat as hs
from heliostat_tasks.learn import lattice
from heliostat_tasks.learn.loaders import load, split
from heliostat_tasks.learn.models import DensityFamily

if TYPE_CHECKING:
    from heliostat_tasks.learn.task import Learn


class States(NamedTuple):
    """States on the host, and the couplings that they came from, if these are known."""

    train: np.ndarray  # (n, D) uint8
    test: np.ndarray  # (m, D) uint8
    truth: np.ndarray | None = None


class Data(NamedTuple):
    """The same for the device, with what is computed of it once."""

    train: Any  # (n, D) uint8
    test: Any  # (m, D) uint8
    moments: Any  # of both, of linear models; else ()
    base: Any  # (D, K) log-probabilities of independent sites
    baseline: Any  # () mean log-likelihood of the test set under these, nats
    truth: Any  # like the model's couplings; a zero where nothing is known


def states_of(task: Learn) -> States:
    """The states that a task's fields describe.

    Raises:
        heliostat.RequestError: for a file that holds none.
    """
    if task.data is None:
        return digits() if task.model == "ebm" else _lattice(task)
    train, test = load(task.data, task.values)
    if task.test is not None:
        test = load(task.test, task.values)[0]
    if test is None:
        train, test = split(train)
    if train.shape[1] != test.shape[1]:
        raise hs.RequestError(
            f"{task.data} has {train.shape[1]} sites, the test set {test.shape[1]}"
        )
    if not len(train) or not len(test) or train.shape[1] < 2:
        raise hs.RequestError(
            f"{task.data} has {len(train)} + {len(test)} states of {train.shape[1]} "
            "sites: expected two sites or more, and states to train and to test on"
        )
    return States(train, test)


def digits() -> States:
    """scikit-learn's 8 × 8 digits as bits: 1,438 to train on, 359 to test on.

    Reference: Alpaydin and Kaynak, "Optical recognition of handwritten digits", UCI
    Machine Learning Repository (1998).
    """
    from sklearn.datasets import load_digits

    grey = np.asarray(load_digits(return_X_y=True)[0]) / 16
    return States(*split((grey > 0.5).astype(np.uint8)))


def _lattice(task: Learn) -> States:
    """Training and test states of a lattice: one draw, cut in two."""
    tests = max(1, task.samples // 4)
    what = (task.size, task.values, task.coupling)
    x = lattice.states(*what, task.samples + tests, task.data_seed)
    return States(x[: task.samples], x[task.samples :], lattice.truth(*what))


def log_weights(x: np.ndarray, values: int) -> np.ndarray:
    """Log-probabilities of independent sites, (D, K), one count added to each value.

    Example:
        >>> np.exp(log_weights(np.array([[0, 1], [0, 1]]), 2)).tolist()
        [[0.75, 0.25], [0.25, 0.75]]
    """
    counts = np.stack([np.sum(x == a, axis=0) for a in range(values)], axis=1)
    return np.log((counts + 1.0) / (len(x) + values))


def baseline(base: np.ndarray, x: np.ndarray) -> float:
    """Mean log-likelihood of states (n, D) if all sites were independent, nats."""
    chosen = base[np.arange(x.shape[1])[None], x.astype(int)]
    return float(chosen.sum(1).mean())


def prepared(found: States, model: DensityFamily) -> Data:
    """States with all that is computed of them once."""
    base = log_weights(found.train, model.values)
    both = (found.train, found.test)
    moments = tuple(model.summary(x) for x in both) if model.linear else ()
    truth = np.zeros(()) if found.truth is None else found.truth
    level = np.array(baseline(base, found.test))
    return Data(*both, moments, base, level, truth)
