"""Figure of a run for notebooks: learned couplings and states beside true ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from heliostat.results.figures import save_figure
from heliostat_tasks.learn.data import log_weights
from heliostat_tasks.learn.models import Pairwise

if TYPE_CHECKING:
    from heliostat import Run
    from heliostat_tasks.learn.task import Learn

INK = {"fontsize": "medium"}
GAP = "0.7"  # grey between images


def plot_learned(run: Run, output: str | None = None) -> Any:
    """Plot couplings, their truth, states of the data and states of the model.

    Where the truth is unknown, its panel shows log Z from both directions of annealing.

    Args:
        run: run of this task, with one stride or more.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for a run that is shorter than a stride.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.learn import Learn
        >>> few = {"samples": 50, "buffer": 8, "batch": 8, "moves": 2}
        >>> task = Learn(size=3, train=10, warmup=2, evaluate=0, **few)
        >>> figure = plot_learned(hs.run(task, on="here"), "couplings.png")
        >>> figure.axes[0].get_title()
        'learned couplings'
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    observed = run.observed
    if not observed.sizes.get("step"):
        raise ValueError(f"run {run.id} is shorter than a stride: nothing to draw")
    last = observed.isel(step=-1).load()
    figure, axes = plt.subplots(1, 4, figsize=(15, 4), layout="constrained")
    _weights(axes[0], last["weights"].values, task)
    _truth(axes[1], last, run)
    shown = last["samples"].values
    _states(axes[2], task.states.train[: len(shown)], task, "data")
    _states(axes[3], shown, task, "persistent chains of the model")
    figure.suptitle(f"learn {run.id}: {task.model}, step {int(last.step)}", **INK)
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def true_matrix(task: Learn) -> Float[np.ndarray, "sites sites"] | None:
    """Return the true couplings in the form of the learned ones; None if unknown."""
    truth = task.states.truth
    if truth is None or not isinstance(task.learned, Pairwise):
        return None
    norms = np.sqrt((truth**2).sum((1, 2))) if truth.ndim == 3 else truth
    matrix = np.zeros((task.learned.sites,) * 2)
    matrix[task.learned.ends] = norms
    return matrix + matrix.T


def _quantity(task: Learn) -> str:
    return "couplings" if task.values == 2 else "couplings, norms of q × q blocks"


def _weights(axes: Any, weights: np.ndarray, task: Learn) -> None:
    """Draw couplings, or the weights of the first layer with sites in their places."""
    if isinstance(task.learned, Pairwise):
        _matrix(axes, weights, _limit(weights, task), f"learned {_quantity(task)}")
        return
    side = math.isqrt(len(weights))
    square = side**2 == len(weights)
    tiles = weights.T.reshape(-1, side, side)[:16] if square else weights.T[:, None]
    limit = float(np.abs(tiles).max()) or 1.0
    about = "first layer" + (", 16 of its units" if square else "")
    _matrix(axes, _tiled(tiles), limit, about)
    axes.set_facecolor(GAP)
    axes.set(xticks=[], yticks=[], xlabel="weights, sites in their places", ylabel="")


def _truth(axes: Any, last: Any, run: Run) -> None:
    task: Any = run.task
    truth = true_matrix(task)
    if truth is not None:
        _matrix(axes, truth, _limit(truth, task), f"true {_quantity(task)}")
        return
    headline = run.headline
    z = headline.get("log_z")
    axes.set_title("log Z by each particle of the last pass", **INK)
    axes.set_xlabel("log Z minus its Bennett estimate (nat)")
    axes.set_ylabel("particles")
    if z is None:
        axes.text(0.5, 0.5, "no pass is complete", ha="center", va="center")
        return
    base = float(np.sum(np.logaddexp.reduce(_base(task), axis=1)))
    for sign, name, how in ((1, "forward", "forwards"), (-1, "backward", "backwards")):
        values = base + sign * last[name].values - z.value
        axes.hist(values, bins=20, alpha=0.55, label=how)
    axes.axvline(0, color="k", lw=1)
    axes.legend(fontsize="small")


def _base(task: Learn) -> Float[np.ndarray, "sites values"]:
    """Compute the log-weights from which annealing starts."""
    return log_weights(task.states.train, task.values)


def _limit(weights: np.ndarray, task: Learn) -> float:
    """Return one limit of colours for learned and true couplings."""
    truth = true_matrix(task)
    values = weights if truth is None else truth
    return float(np.abs(values).max()) or 1.0


def _matrix(axes: Any, values: np.ndarray, limit: float, title: str) -> None:
    colours = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    image = axes.imshow(values, interpolation="nearest", **colours)
    axes.figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title(title, **INK)
    axes.set_xlabel("site")
    axes.set_ylabel("site")


def _states(axes: Any, x: np.ndarray, task: Learn, title: str) -> None:
    """Draw states as 4 × 4 images, or as rows if the sites form no square."""
    side = math.isqrt(x.shape[1])
    square = side**2 == x.shape[1]
    image = _tiled(x.reshape(-1, side, side)[:16].astype(float)) if square else x
    axes.imshow(image, cmap="gray_r" if task.values == 2 else "viridis")
    axes.set_facecolor(GAP)
    axes.set_title(title, **INK)
    axes.set_xticks([])
    axes.set_yticks([])


def _tiled(images: np.ndarray) -> np.ndarray:
    """Place images (n, h, w) in rows of four, with empty gaps between them."""
    n, h, w = images.shape
    wide = min(4, n)
    tall = -(-n // wide)
    canvas = np.full((tall * (h + 1) - 1, wide * (w + 1) - 1), np.nan)
    for k, image in enumerate(images):
        top, left = (k // wide) * (h + 1), (k % wide) * (w + 1)
        canvas[top : top + h, left : left + w] = image
    return canvas
