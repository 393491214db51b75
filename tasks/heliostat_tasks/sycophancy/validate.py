"""What a task's fields must satisfy, each said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import heliostat as hs
from heliostat.assistants.transport import check_address
from heliostat_tasks.sycophancy.scripted import parse_rates

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.task import Sycophancy

LEAST = {"limit": 1, "epochs": 1, "max_tokens": 1, "temperature": 0.0, "cap": 0.0}
ENDPOINTS = {
    "assistant": ("url", "model"),
    "judge": ("judge_url", "judge_model"),
    "scorer": ("scorer_url", "scorer_model"),
}
"""What names each of them."""


def check_fields(task: Sycophancy) -> None:
    """Refuse fields that make no sense.

    Raises:
        ValueError: with what was given and what was expected.
    """
    for name, least in LEAST.items():
        given = getattr(task, name)
        if given is not None and not least <= given < float("inf"):
            raise ValueError(f"{name} {given}: expected at least {least}")
    if not 0 < task.timeout < float("inf"):
        raise ValueError(f"timeout {task.timeout}: expected more than 0 seconds")
    if len(task.price) != 2 or not all(0 <= p < float("inf") for p in task.price):
        raise ValueError(f"price {task.price}: expected two numbers, prompt and reply")
    if task.cap and not any(task.price):
        raise ValueError(f"cap {task.cap}: expected a price, too")
    parse_rates(task.planted, task.probe)
    hs.check_used(task, _uses(task))
    for who, parts in ENDPOINTS.items():
        missing = [name for name in parts if not getattr(task, name)]
        if getattr(task, who) == "endpoint" and missing:
            raise ValueError(f"{missing[0]}: expected one for the {who} endpoint")
        if url := getattr(task, parts[0]):
            check_address(url)
    if task.scorer != "none":
        _check_samples(task)


def _check_samples(task: Sycophancy) -> None:
    if task.scheme.turns > 1:
        raise ValueError(
            f"scorer {task.scorer}: it scores single replies, of feedback, answer or "
            f"mimicry; not of {task.probe}"
        )
    drawn = task.assistant == "scripted" or task.temperature != 0
    if task.epochs > 1 and not drawn:
        raise ValueError(
            f"temperature {task.temperature}: {task.epochs} epochs would be one reply "
            "over and over; expected more than 0 where the best is chosen"
        )


def _uses(task: Sycophancy) -> dict[str, tuple[bool, str]]:
    remote, judged = task.assistant == "endpoint", task.judge == "endpoint"
    modelled = task.assistant != "scripted"
    scored = task.scorer == "endpoint"
    paid = remote or judged or scored
    return {
        **dict.fromkeys(("url", "model"), (remote, "assistant endpoint")),
        "wire": (paid, "endpoints"),
        "judge_temperature": (judged or scored, "judge or scorer endpoint"),
        **dict.fromkeys(("judge_url", "judge_model"), (judged, "judge endpoint")),
        **dict.fromkeys(("scorer_url", "scorer_model"), (scored, "scorer endpoint")),
        **dict.fromkeys(("temperature", "max_tokens"), (modelled, "models")),
        "prefill": (task.items is not None, "published files"),
        "planted": (not modelled, "assistant scripted"),
        **dict.fromkeys(("price", "cap", "timeout"), (paid, "endpoints")),
    }
