"""Pictures of runs for a notebook: what leaked, and which outer solution was found.

import heliostat as hs
from heliostat_tasks.bilevel.pictures import draw

draw(hs.open("0ed4b8379459a924"))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from heliostat.kernels.implicit.inverse_hessian import Neumann, Proximal
from heliostat.results.figures import save_figure
from heliostat.system.jit import jit
from heliostat_tasks.bilevel.problems.linear import Linear, solution_of

if TYPE_CHECKING:
    from heliostat import Run
    from heliostat_tasks.bilevel.task import Bilevel

TERMS = (1, 2, 5, 10, 20, 50, 100)
EPSILONS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0)

LINES = {
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
"""How a variable is drawn, by what is before its name."""


def plot_leak(run: Run, output: str | None = None) -> Any:
    """Of w, of w re-trained from its own start and from new ones: loss, and accuracy.

    Args:
        run: of this task.
        output: a file to write (its ending says the format); default none.

    Returns:
        The matplotlib Figure: a panel for the loss, and one for what else the problem
        knows, accuracy or |u − u*|.  Means over restarts; of w, each restart is there
        as a thin line; what is re-trained has a mark where that was done.

    Example:
        >>> draw(run, "leak.png")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    panels = {"loss": "outer loss F" + " (nat)" * task.problem_instance.classifies}
    panels |= {"accuracy": "test accuracy"} if task.problem_instance.classifies else {}
    panels |= {"distance": "|u − u*|"} if task.problem_instance.solved else {}
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
    """One quantity of the run, with what it is compared with."""
    task: Any = run.task
    rows, problem = run.rows.load(), task.problem_instance
    axis.set_yscale("log" if problem.solved else "linear")  # down to rounding
    for before, style in LINES.items():
        whole = "outer_loss" if name == "loss" and not before else before + name
        if whole not in rows or (before == "fresh_" and "w" not in problem.drawn):
            continue
        lines = rows[whole].transpose("step", "restart")
        if before:  # it stands until the next judgement
            lines = lines[task.stride - 1 :: task.stride]
        elif lines.sizes["restart"] > 1:
            axis.plot(lines.step, lines, color=style["color"], lw=0.7, alpha=0.4)
        axis.plot(lines.step, lines.mean("restart"), **style)
    if name == "loss" and "floor" in (known := problem.known()):
        floor = known["floor"]
        axis.axhline(floor.value, color="0.4", ls=":", label=f"floor: {floor.source}")
    if name != "distance":
        axis.legend(frameon=False, fontsize="small")


def plot_landscape(
    task: Bilevel,
    terms: Sequence[int] = TERMS,
    epsilons: Sequence[float] = EPSILONS,
    output: str | None = None,
) -> Any:
    """Heat maps of |u|, |w| and |u − u*| over Neumann terms K and damping ε, of the
    outer solutions that methods find, all with F = 0.

    Args:
        task: with a linear problem, quadratic or antidistillation.
        terms: values of K, down.
        epsilons: values of ε, across.
        output: a file to write (its ending says the format); default none.

    Returns:
        The matplotlib Figure.

    Raises:
        ValueError: for a problem whose outer solution has no closed form.

    Example:
        >>> landscape(Bilevel(problem="antidistillation"), output="map.png")
        ... # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    found = solution_norms(task, terms, epsilons)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    titles = ("|u|", "|w|", "|u − u*|")
    for axis, title, values in zip(
        axes, titles, np.moveaxis(found, -1, 0), strict=True
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
) -> np.ndarray:
    """|u|, |w| and |u − u*| for each K and ε, ``(terms, epsilons, 3)``."""
    posed = task.problem_instance
    if not isinstance(posed, Linear):
        raise ValueError(
            f"problem {task.problem}: expected quadratic or antidistillation, whose "
            "outer solutions are known in closed form"
        )
    phi, v, y = (jnp.asarray(a, float) for a in posed.matrices())
    best = jnp.asarray(posed.data().solution, float)

    def three(k: int, epsilon: float) -> Any:
        method = Proximal(epsilon, Neumann(k, task.resolved.inner_lr))
        u = solution_of(phi, v, y, method)
        return jnp.stack(
            [jnp.linalg.norm(a) for a in (u, jnp.linalg.pinv(phi) @ u, u - best)]
        )

    rows = [jit(lambda e, k=k: three(k, e)) for k in terms]
    return np.array([[row(e) for e in epsilons] for row in rows])
