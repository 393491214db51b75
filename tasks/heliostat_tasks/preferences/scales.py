"""The scale of the prior, chosen by pairs that were not learned from.

    L_n(b) = −log ⟨σ(x_n · α)⟩         over draws α of the posterior with prior b

is what a run loses on held-out pair n: it says how well probabilities are told, where
accuracy only counts which side of ½ they are on.  Every scale is judged by the same
pairs, so what is compared is the difference of each pair's losses, with its error.

The best loss of several is a little too good, since the same pairs chose it.

Reference: Sharma et al., arXiv:2310.13548, §4.1 [the scale is chosen by holdout];
Vehtari, Gelman and Gabry, Stat. Comput. 27, 1413 (2017), §5.2 [paired errors].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import heliostat as hs
from heliostat_tasks.preferences.regression import predictive_losses
from heliostat_tasks.preferences.task import Preferences

if TYPE_CHECKING:
    import pandas as pd

    from heliostat import Run

SCALES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def over_scales(
    task: Preferences, scales: Sequence[float] = SCALES, **options: Any
) -> pd.DataFrame:
    """A run for each scale, found or computed, and how they tell held-out pairs.

    Args:
        task: all but its scale, which is replaced.
        scales: b of the Laplace prior, log-odds.
        options: of :func:`heliostat.run`: seed, steps, store, on, …

    Returns:
        See :func:`compared`.

    Raises:
        heliostat.RequestError: for fewer than two scales, or if no pairs are held out.

    Example:
        >>> over_scales(Preferences(pairs=2000), [0.01, 0.1])  # doctest: +SKIP
    """
    if len(set(scales)) < 2:
        raise hs.RequestError(f"scales {tuple(scales)}: expected two or more")
    try:
        tasks = [replace(task, scale=scale) for scale in sorted(set(scales))]
    except ValueError as error:
        raise hs.RequestError(str(error)) from error
    steps = options.get("steps") or task.steps
    if steps < task.warmup + 10:
        raise hs.RequestError(
            f"steps {steps}: expected at least {task.warmup + 10}, ten more than the "
            "warm-up"
        )
    if len(task.table.split(task.holdout)[1]) < 2:
        raise hs.RequestError(f"holdout {task.holdout}: too few pairs are held out")
    return compared([hs.run(one, **options) for one in tasks])


def compared(runs: Sequence[Run]) -> pd.DataFrame:
    """How runs with different priors tell the pairs that all of them held out.

    Returns:
        A row per run, with index ``scale``: ``accuracy`` at the posterior mean, and
        ``loss`` (nat per pair), each with its standard error as ``…_error``; ``more``,
        the loss less the smallest one's, with its paired standard error; ``rhat``, the
        worst; and ``run``, its id.  The best has a ``more`` of 0; a scale whose
        ``more`` is below two errors is as good, as far as these pairs can say.

    Raises:
        ValueError: for runs of other data, or that have not left their warm-up.

    Example:
        >>> compared([hs.open("0ed4b838"), hs.open("9b3f1c20")])  # doctest: +SKIP
    """
    import pandas as pd

    losses = np.array([_losses(run) for run in runs])
    means = losses.mean(1)
    more = losses - losses[np.argmin(means)]
    accuracies = [run.headline["holdout_accuracy"] for run in runs]
    missing = hs.Estimate(float("nan"))
    columns = {
        "accuracy": [found.value for found in accuracies],
        "accuracy_error": [found.error for found in accuracies],
        "loss": means,
        "loss_error": _errors(losses),
        "more": more.mean(1),
        "more_error": _errors(more),
        "rhat": [run.headline.get("rhat", missing).value for run in runs],
        "run": [run.id for run in runs],
    }
    scales = [_task(run).scale for run in runs]
    return pd.DataFrame(columns, pd.Index(scales, name="scale"))


def _losses(run: Run) -> np.ndarray:
    """(held-out pairs,) nat."""
    task = _task(run)
    groups = task.tree(run.rows)
    if "holdout_accuracy" not in run.headline:
        raise ValueError(f"run {run.id} has too few draws after its warm-up")
    alpha = groups["posterior"]["coefficients"].values
    _, out = task.table.split(task.holdout)
    return predictive_losses(alpha.reshape(-1, alpha.shape[-1]), out)


def _errors(losses: np.ndarray) -> np.ndarray:
    """Standard errors of means over pairs."""
    return losses.std(1, ddof=1) / np.sqrt(losses.shape[1])


def _task(run: Run) -> Preferences:
    task: Any = run.task
    return task
