"""Figures of runs: convergence, generated points, generated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float

from heliostat.results.figures import save_figure
from heliostat_tasks.games.problems.images import Images
from heliostat_tasks.games.problems.mixture import Mixture, draw_ring
from heliostat_tasks.games.theory import rate_of_play

if TYPE_CHECKING:
    from heliostat import Run


ROWS = 8
"""Rows and columns of generated images."""


def plot_run(run: Run, output: str | None = None) -> Any:
    """Plot what a game makes: points, images, or the way to its equilibrium.

    Args:
        run: run of this task.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.
    """
    task: Any = run.task
    problem = task.problem_instance
    if isinstance(problem, Mixture):
        return plot_points(run, output=output)
    if isinstance(problem, Images):
        return plot_images(run, output)
    return plot_convergence(run, output)


def plot_convergence(run: Run, output: str | None = None) -> Any:
    """Plot the distance from the equilibrium beside the rate of theory.

    Games without a known equilibrium show the length of the joint gradient. A thin
    line is one start.

    Args:
        run: run of this task.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.games import Games
        >>> run = hs.run(Games(size=1), steps=100, on="here", progress=False)
        >>> plot_convergence(run).axes[0].get_ylabel()
        'distance from the equilibrium'
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    problem = task.problem_instance
    known = problem.has_equilibrium
    name = "distance" if known else "gradient_norm"
    label = "distance from the equilibrium" if known else "length of the joint gradient"
    rows = run.rows.load()
    values = np.atleast_2d(rows[name].transpose(..., "step").values)
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for i, line in enumerate(values):
        axis.plot(rows.step, line, lw=1, color="tab:blue", label="run" if not i else "")
    rate = rate_of_play(problem, task.method_instance)
    if np.isfinite(rate) and known:
        start = values[:, : max(len(rows.step) // 4, 1)]
        level = start[:, -1].mean() / rate ** start.shape[1]
        theory = level * rate ** np.asarray(rows.step, float)
        axis.plot(rows.step, theory, "k:", label=f"theory: {rate:.4f} per round")
    axis.set(xlabel="round", ylabel=label, yscale="log")
    axis.set_title(_title(run))
    axis.legend(frameon=False, fontsize="small")
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def plot_points(run: Run, count: int = 1000, output: str | None = None) -> Any:
    """Plot points of the generator of a mixture over those of the data.

    Args:
        run: run of the game ``mixture``.
        count: points of each.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for another game.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.games import Games
        >>> task = Games(problem="mixture", size=8, batch=16)
        >>> run = hs.run(task, steps=50, on="here", progress=False)
        >>> plot_points(run).axes[0].get_xlabel()
        'x'
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    problem = task.problem_instance
    if not isinstance(problem, Mixture):
        raise ValueError(f"problem {task.problem}: expected mixture")
    one, two = jax.random.split(jax.random.key(0))
    players = run.state(-1).position.game.players
    fake, real = problem.sample(one, players, count), draw_ring(two, count)
    figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    axis.scatter(*np.asarray(real).T, s=3, color="0.7", label="data")
    axis.scatter(*np.asarray(fake).T, s=3, color="tab:blue", label="generated")
    axis.set(xlabel="x", ylabel="y", title=_title(run), aspect="equal")
    axis.legend(frameon=False, fontsize="small")
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def plot_images(run: Run, output: str | None = None) -> Any:
    """Show images of the generator above real ones.

    Args:
        run: run of the game ``digits`` or ``cifar``.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for another game.
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    problem = task.problem_instance
    if not isinstance(problem, Images):
        raise ValueError(f"problem {task.problem}: expected digits or cifar")
    players, count = run.state(-1).position.game.players, ROWS**2
    fake = (problem.sample(jax.random.key(0), players, count) + 1) / 2
    real = problem.data().images[:count] / 255
    figure, axes = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
    for axis, images, label in zip(
        axes, (fake, real), ("generated", "real"), strict=True
    ):
        axis.imshow(_tiles(np.asarray(images)), cmap="gray", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[], xlabel=label)
    figure.suptitle(_title(run), fontsize="medium")
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def _tiles(
    images: Float[np.ndarray, "count side side channels"],
) -> Float[np.ndarray, "height width channels"]:
    """Arrange images in rows."""
    _, side, _, channels = images.shape
    grid = images.reshape(ROWS, ROWS, side, side, channels).transpose(0, 2, 1, 3, 4)
    return grid.reshape(ROWS * side, ROWS * side, channels)


def _title(run: Run) -> str:
    task: Any = run.task
    return f"games {run.id}: {task.problem}, {task.play}, {task.resolved.method}"
