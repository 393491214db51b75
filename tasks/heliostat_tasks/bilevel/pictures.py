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

from heliostat.kernels.compiler import jit
from heliostat.kernels.implicit import Neumann, Proximal
from heliostat_tasks.bilevel.problems.linear import Linear, reached

if TYPE_CHECKING:
    from heliostat import Run
    from heliostat_tasks.bilevel.task import Bilevel

TERMS = (1, 2, 5, 10, 20, 50, 100)
EPSILONS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0)

INHERITED, RETRAINED, FRESH = "tab:red", "tab:blue", "tab:cyan"


def draw(run: Run, output: str | None = None) -> Any:
    """Of w, of w re-trained from its own start and from new ones: loss, and accuracy.

    Args:
        run: of this task.
        output: a file to write (its ending says the format); default none.

    Returns:
        The matplotlib Figure: a panel for each, means over restarts.

    Example:
        >>> draw(run, "leak.png")  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt

    task: Any = run.task
    rows = run.rows.load().mean("restart")
    names = [("outer_loss", "retrained_loss", "fresh_loss")]
    if task.posed.classifies:
        names.append(("accuracy", "retrained_accuracy", "fresh_accuracy"))
    figure, axes = plt.subplots(
        1,
        len(names),
        figsize=(5.5 * len(names), 4),
        layout="constrained",
        squeeze=False,
    )
    for axis, three in zip(axes[0], names, strict=True):
        for name, colour in zip(three, (INHERITED, RETRAINED, FRESH), strict=True):
            axis.plot(rows.step, rows[name], color=colour, label=name.replace("_", " "))
        for name, known in task.posed.known().items():
            if name == "floor":
                axis.axhline(known.value, color="0.5", ls=":", label=known.source)
        axis.set_xlabel("outer step")
        axis.legend()
    figure.suptitle(f"bilevel {run.id}: {task.problem}, {task.policy} start")
    if output is not None:
        figure.savefig(output, dpi=120)
    return figure


def landscape(
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

    found = norms(task, terms, epsilons)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    titles = ("|u|", "|w|", "|u − u*|")
    for axis, title, values in zip(
        axes, titles, np.moveaxis(found, -1, 0), strict=True
    ):
        image = axis.imshow(values, origin="lower", aspect="auto")
        axis.set_xticks(range(len(epsilons)), [f"{e:g}" for e in epsilons])
        axis.set_yticks(range(len(terms)), [str(k) for k in terms])
        axis.set(title=title, xlabel="ε", ylabel="Neumann terms K")
        figure.colorbar(image, ax=axis)
    if output is not None:
        figure.savefig(output, dpi=120)
    return figure


def norms(task: Bilevel, terms: Sequence[int], epsilons: Sequence[float]) -> np.ndarray:
    """|u|, |w| and |u − u*| for each K and ε, ``(terms, epsilons, 3)``."""
    posed = task.posed
    if not isinstance(posed, Linear):
        raise ValueError(
            f"problem {task.problem}: expected quadratic or antidistillation, whose "
            "outer solutions are known in closed form"
        )
    phi, v, y = (jnp.asarray(a, float) for a in posed.matrices())
    best = jnp.asarray(posed.data().closed, float)

    def three(k: int, epsilon: float) -> Any:
        method = Proximal(epsilon, Neumann(k, task.chosen.inner_lr))
        u = reached(phi, v, y, method)
        return jnp.stack(
            [jnp.linalg.norm(a) for a in (u, jnp.linalg.pinv(phi) @ u, u - best)]
        )

    rows = [jit(lambda e, k=k: three(k, e)) for k in terms]
    return np.array([[row(e) for e in epsilons] for row in rows])
