"""Commands ``heliostat games VERB``: plot what a game made, compare methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import heliostat as hs
from heliostat import Answer
from heliostat.config.registry import name_of
from heliostat_tasks.games.compare import Best, compare_methods
from heliostat_tasks.games.task import Games


def plot(run: str, /, *, output: Path, store: str | None = None) -> Answer:
    """Plot generated points or images, or the way to the equilibrium beside theory.

    Args:
        run: Id of a run, or its first digits.
        output: The file to write; its ending gives the format.
    """
    from heliostat_tasks.games.plots import plot_run

    opened = hs.open(run, store=store)
    if not isinstance(opened.task, Games):
        raise hs.RequestError(
            f"{run} is a run of {name_of(type(opened.task))}: expected one of games"
        )
    plot_run(opened, str(output))
    return Answer([str(output)], {"path": str(output)})


def compare(task: Games) -> Answer:
    """Compare momentum with optimistic descent and extragradient, each at its best.

    Factors are those by which the distance shrinks per round, and per gradient of
    every player.
    """
    methods = compare_methods(task.problem_instance, task.play)
    lines = [f"{task.problem}, {task.play} play, each method at its best"]
    lines += [f"  {'method':20} {'per round':>10} {'per gradient':>13}"]
    lines += [_compare_line(best) for best in methods]
    if not methods[0].converges:
        lines.append("none of them converges")
    rows = [{**best._asdict(), "per_gradient": best.per_gradient} for best in methods]
    return Answer(lines, {"problem": task.problem, "play": task.play, "methods": rows})


def _compare_line(best: Best) -> str:
    if not best.converges:
        return f"  {best.method:20} does not converge"
    factors = f"{best.radius:10.4f} {best.per_gradient:13.4f}"
    return f"  {best.method:20} {factors}  {best.setting}"


VERBS: Mapping[str, Callable[..., Answer]] = {"plot": plot, "compare": compare}
