"""Scale of the prior, selected by pairs held out of the fit.

    L_n(b) = −log ⟨σ(x_n · α)⟩         over draws α of the posterior with prior b

is the loss of a run on held-out pair n. It scores the probabilities themselves, while
accuracy only counts on which side of ½ they are. All scales are scored on the same
pairs, so they are compared by each pair's difference of losses, with its error.

The smallest loss is biased a little downwards, because the same pairs selected it.

Reference: Sharma et al., arXiv:2310.13548, §4.1 [the scale is chosen by holdout];
Vehtari, Gelman and Gabry, Stat. Comput. 27, 1413 (2017), §5.2 [paired errors].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

import heliostat as hs
from heliostat.answer import warnings_of
from heliostat_tasks.preferences.regression import predictive_losses
from heliostat_tasks.preferences.task import Preferences

if TYPE_CHECKING:
    import pandas as pd

    from heliostat import Run

SCALES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def compare_scales(
    task: Preferences, scales: Sequence[float] = SCALES, **options: Any
) -> pd.DataFrame:
    """Run a task under several scales of the prior, and compare their held-out losses.

    Args:
        task: the task; its scale is replaced.
        scales: b of the Laplace prior, log-odds.
        options: options of :func:`heliostat.run`: seed, steps, store, on, …

    Returns:
        The table of :func:`compare_runs`.

    Raises:
        heliostat.RequestError: for fewer than two scales, or if no pairs are held out.

    Example:
        >>> task = Preferences(pairs=100, chains=2, warmup=20)
        >>> table = compare_scales(task, [0.01, 0.1], steps=40, on="here")
        >>> list(table.index)
        [0.01, 0.1]
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
    return compare_runs([hs.run(scaled, **options) for scaled in tasks])


def compare_runs(runs: Sequence[Run]) -> pd.DataFrame:
    """Compare runs that differ in their prior by their losses on held-out pairs.

    Args:
        runs: runs of the same data, past their warm-up.

    Returns:
        A row per run, with index ``scale``: ``accuracy`` at the posterior mean and
        ``loss`` (nat per pair), each with its standard error as ``…_error``; ``more``,
        the loss above the smallest one, with its paired standard error; ``rhat``, the
        worst; ``warning``, about the chains; and ``run``, the id. A scale whose
        ``more`` is below two errors is as good as the best, within the resolution of
        these pairs.

    Raises:
        ValueError: for a run that is still in its warm-up.

    Example:
        >>> scales = [0.01, 0.1]
        >>> tasks = [
        ...     Preferences(pairs=100, scale=scale, chains=2, warmup=20)
        ...     for scale in scales
        ... ]
        >>> table = compare_runs([hs.run(t, steps=40, on="here") for t in tasks])
        >>> table.more.min().item()  # the best is 0 above itself
        0.0
    """
    import pandas as pd

    losses = np.array([_losses(run) for run in runs])
    means = losses.mean(1)
    more = losses - losses[np.argmin(means)]
    accuracies = [run.headline["holdout_accuracy"] for run in runs]
    missing = hs.Estimate(float("nan"))
    columns = {
        "accuracy": [accuracy.value for accuracy in accuracies],
        "accuracy_error": [accuracy.error for accuracy in accuracies],
        "loss": means,
        "loss_error": _errors(losses),
        "more": more.mean(1),
        "more_error": _errors(more),
        "rhat": [run.headline.get("rhat", missing).value for run in runs],
        "warning": ["; ".join(warnings_of(run.headline)) for run in runs],
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
