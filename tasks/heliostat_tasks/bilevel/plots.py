"""Figures of runs for notebooks: the leak of a run, and a map of outer solutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from heliostat.kernels.implicit.inverse_hessian import Neumann, Proximal
from heliostat.results.figures import save_figure
from heliostat.system.jit import jit
from heliostat_tasks.bilevel.problems.linear import Linear, solution_of

if TYPE_CHECKING:
    from heliostat import Run
    from heliostat_tasks.bilevel.task import Bilevel

TERMS = (1, 2, 5, 10, 20, 50, 100)
EPSILONS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0)

STYLES = {
    "": {"color": "tab:red", "label": "w of the run"},
    "retrained_": {
        "color": "tab:blue",
        "marker": "o",
        "label": "re-trained, same start",
    },
    "fresh_": {
        "color": "tab:cyan",
        "marker": "s",
        "mfc": "w",
        "label": "re-trained, new starts",
    },
}
"""Line styles, by the prefix of a variable's name."""


def plot_leak(run: Run, output: str | None = None) -> Any:
    """Plot losses and accuracies of w beside those of re-trained models.

    The panels are the outer loss, and the accuracy or |u − u*| where the problem has
    it. Lines are means over restarts, a thin line is one restart, and marks are the
    steps at which models were re-trained.

    Args:
        run: run of this task.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.bilevel import Bilevel
        >>> task = Bilevel(problem="pair", inner_steps=5, retrain_steps=5)
        >>> figure = plot_leak(hs.run(task, steps=20, on="here"), "leak.png")
        >>> [axis.get_ylabel() for axis in figure.axes][0]
        'outer loss F'
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    problem = task.problem_instance
    panels = {"loss": "outer loss F" + " (nat)" * problem.classifies}
    panels |= {"accuracy": "test accuracy"} if problem.classifies else {}
    panels |= {"distance": "|u − u*|"} if problem.has_solution else {}
    size = (5 * len(panels), 4)
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for axis, (name, label) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        _panel(axis, run, name)
        axis.set(xlabel="outer step", ylabel=label)
    figure.suptitle(f"bilevel {run.id}: {task.problem}, {task.policy} start")
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def _panel(axis: Any, run: Run, name: str) -> None:
    """Draw one quantity of the run, beside those of re-trained models."""
    task: Any = run.task
    rows, problem = run.rows.load(), task.problem_instance
    axis.set_yscale("log" if problem.has_solution else "linear")  # down to rounding
    for prefix, style in STYLES.items():
        variable = "outer_loss" if name == "loss" and not prefix else prefix + name
        same_start = prefix == "fresh_" and "w" not in problem.random_starts
        if variable not in rows or same_start:
            continue
        lines = rows[variable].transpose("step", "restart")
        if prefix:  # rows repeat an evaluation until the next
            lines = lines[task.stride - 1 :: task.stride]
        elif lines.sizes["restart"] > 1:
            axis.plot(lines.step, lines, color=style["color"], lw=0.7, alpha=0.4)
        axis.plot(lines.step, lines.mean("restart"), **style)
    if name == "loss" and (floor := problem.references().get("floor")):
        axis.axhline(floor.value, color="0.4", ls=":", label=f"floor: {floor.source}")
    if name != "distance":
        axis.legend(frameon=False, fontsize="small")


def plot_landscape(
    task: Bilevel,
    terms: Sequence[int] = TERMS,
    epsilons: Sequence[float] = EPSILONS,
    output: str | None = None,
) -> Any:
    """Map |u|, |w| and |u − u*| of outer solutions over Neumann terms K and damping ε.

    Args:
        task: with a linear problem, quadratic or antidistillation.
        terms: values of K, one row each.
        epsilons: values of ε, one column each.
        output: file to write; its ending gives the format. Default none.

    Returns:
        The matplotlib Figure: three heat maps.

    Raises:
        ValueError: for a problem whose outer solution has no closed form.

    Example:
        >>> from heliostat_tasks.bilevel import Bilevel
        >>> figure = plot_landscape(Bilevel(problem="quadratic"), [1, 2], [0.1, 1.0])
        >>> [axis.get_title() for axis in figure.axes[:3]]
        ['|u|', '|w|', '|u − u*|']
    """
    import matplotlib.pyplot as plt

    norms = solution_norms(task, terms, epsilons)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    titles = ("|u|", "|w|", "|u − u*|")
    for axis, title, values in zip(
        axes, titles, np.moveaxis(norms, -1, 0), strict=True
    ):
        image = axis.imshow(values, origin="lower", aspect="auto")
        axis.set_xticks(range(len(epsilons)), [f"{e:g}" for e in epsilons])
        axis.set_yticks(range(len(terms)), [str(k) for k in terms])
        axis.set(title=title, xlabel="damping ε", ylabel="Neumann terms K")
        figure.colorbar(image, ax=axis)
    figure.suptitle(f"bilevel, {task.problem}: outer solutions, all with F = 0")
    if output is not None:
        save_figure(figure, output, dpi=120)
    return figure


def solution_norms(
    task: Bilevel, terms: Sequence[int], epsilons: Sequence[float]
) -> Float[np.ndarray, "terms epsilons 3"]:
    """Compute |u|, |w| and |u − u*| for each K and ε.

    Raises:
        ValueError: for a problem whose outer solution has no closed form.
    """
    problem = task.problem_instance
    if not isinstance(problem, Linear):
        raise ValueError(
            f"problem {task.problem}: expected quadratic or antidistillation, whose "
            "outer solutions are known in closed form"
        )
    phi, v, y = (jnp.asarray(a, float) for a in problem.matrices())
    best = jnp.asarray(problem.data().solution, float)

    def norms(k: int, epsilon: float) -> Any:
        method = Proximal(epsilon, Neumann(k, task.resolved.inner_lr))
        u = solution_of(phi, v, y, method)
        return jnp.stack(
            [jnp.linalg.norm(a) for a in (u, jnp.linalg.pinv(phi) @ u, u - best)]
        )

    rows = [jit(lambda e, k=k: norms(k, e)) for k in terms]
    return np.array([[row(e) for e in epsilons] for row in rows])
