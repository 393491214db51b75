"""Checks of the task's fields; each error is one line.

``fields`` are the task's fields by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.assistants.transport import check_address

MINIMA = {"limit": 1, "epochs": 1, "max_tokens": 1, "temperature": 0.0, "cap": 0.0}
ENDPOINTS = {
    "assistant": ("url", "model"),
    "judge": ("judge_url", "judge_model"),
    "scorer": ("scorer_url", "scorer_model"),
}
"""Fields that name an endpoint, by its role."""


def check_numbers(fields: Mapping[str, Any]) -> None:
    """Check numbers, the timeout, the price and the cap.

    Raises:
        ValueError: for a number that is out of range.
    """
    for name, least in MINIMA.items():
        value = fields[name]
        if value is not None and not least <= value < float("inf"):
            raise ValueError(f"{name} {value}: expected at least {least}")
    timeout, price, cap = fields["timeout"], fields["price"], fields["cap"]
    if not 0 < timeout < float("inf"):
        raise ValueError(f"timeout {timeout}: expected more than 0 seconds")
    if len(price) != 2 or not all(0 <= p < float("inf") for p in price):
        raise ValueError(f"price {price}: expected two numbers, prompt and reply")
    if cap and not any(price):
        raise ValueError(f"cap {cap}: expected a price, too")


def check_endpoints(fields: Mapping[str, Any]) -> None:
    """Check that each endpoint has an address and a model.

    Raises:
        ValueError: if one is missing, or an address is no URL.
    """
    for role, names in ENDPOINTS.items():
        missing = [name for name in names if not fields[name]]
        if fields[role] == "endpoint" and missing:
            raise ValueError(f"{missing[0]}: expected one for the {role} endpoint")
        if url := fields[names[0]]:
            check_address(url)


def check_samples(fields: Mapping[str, Any], turns: int) -> None:
    """Check that a scorer has single replies and different samples to choose from.

    Args:
        fields: fields of the task.
        turns: turns of its probe.

    Raises:
        ValueError: for a probe of several turns, or for epochs that are all equal.
    """
    scorer, temperature = fields["scorer"], fields["temperature"]
    if turns > 1:
        raise ValueError(
            f"scorer {scorer}: it scores single replies, of feedback, answer or "
            f"mimicry; not of {fields['probe']}"
        )
    random = fields["assistant"] == "scripted" or temperature != 0
    if fields["epochs"] > 1 and not random:
        raise ValueError(
            f"temperature {temperature}: {fields['epochs']} epochs would be one reply "
            "over and over; expected more than 0 where the best is chosen"
        )


def uses(fields: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Return, for fields that are not always read, whether they are, and their use."""
    remote, judged, scored = (fields[role] == "endpoint" for role in ENDPOINTS)
    modelled = fields["assistant"] != "scripted"
    paid = remote or judged or scored
    return {
        **dict.fromkeys(("url", "model"), (remote, "assistant endpoint")),
        "wire": (paid, "endpoints"),
        "judge_temperature": (judged or scored, "judge or scorer endpoint"),
        **dict.fromkeys(("judge_url", "judge_model"), (judged, "judge endpoint")),
        **dict.fromkeys(("scorer_url", "scorer_model"), (scored, "scorer endpoint")),
        **dict.fromkeys(("temperature", "max_tokens"), (modelled, "models")),
        "prefill": (fields["items"] is not None, "published files"),
        "planted": (not modelled, "assistant scripted"),
        **dict.fromkeys(("price", "cap", "timeout"), (paid, "endpoints")),
    }
