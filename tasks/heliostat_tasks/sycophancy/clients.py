"""Who is asked, who judges and who scores, as a worker makes them once."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import heliostat as hs
from heliostat.assistants import (
    Assistant,
    Budget,
    Cached,
    Endpoint,
    Prices,
    ReplyCache,
    RetryPolicy,
    serving,
)
from heliostat.assistants.credentials import DEFAULT_VARIABLE
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.scoring import MarkScorer, Scorer, load_function
from heliostat_tasks.sycophancy.scripted import ScriptedAssistant, parse_rates

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.task import Clients, Sycophancy

JUDGE_KEY, SCORER_KEY = "HELIOSTAT_JUDGE_KEY", "HELIOSTAT_SCORER_KEY"


def build_clients(task: Sycophancy) -> Clients:
    """The assistant, the judge and the scorer; one local model serves all."""
    from heliostat_tasks.sycophancy.task import Clients

    held, replies, budget = contextlib.ExitStack(), ReplyCache(), _budget(task)
    local: list[Assistant] = []
    if "local" in (task.assistant, task.judge, task.scorer):
        server = held.enter_context(serving())
        local.append(Cached(server, Budget(budget.account), replies))  # it is free
    match task.assistant:
        case "scripted":
            rates = parse_rates(task.planted, task.probe)
            asked: Assistant = ScriptedAssistant(task.selected_items, task.probe, rates)
        case "local":
            asked = local[0]
        case _:
            far = _far(task, task.url, task.model, DEFAULT_VARIABLE)
            asked = Cached(far, budget, replies)
    judge = _judge(task, local, budget, replies)
    return Clients(asked, judge, _scorer(task, local, budget, replies), held)


def _judge(
    task: Sycophancy, local: list[Assistant], budget: Budget, replies: ReplyCache
) -> Judge:
    match task.judge:
        case "rules":
            return Judge()
        case "local":
            return Judge(local[0], grammar=True)
        case _:
            where = (task.judge_url, task.judge_model)
            far = _far(task, *where, JUDGE_KEY)
            asked = Cached(far, budget, replies)
            return Judge(asked, temperature=task.judge_temperature)


def _scorer(
    task: Sycophancy, local: list[Assistant], budget: Budget, replies: ReplyCache
) -> Scorer | None:
    if isinstance(task.scorer, hs.Code):
        return load_function(task.scorer)
    match task.scorer:
        case "none":
            return None
        case "local":
            return MarkScorer(local[0], grammar=True)
        case _:
            where = (task.scorer_url, task.scorer_model)
            far = _far(task, *where, SCORER_KEY)
            asked = Cached(far, budget, replies)
            return MarkScorer(asked, temperature=task.judge_temperature)


def _far(task: Sycophancy, url: str, model: str, key: str) -> Endpoint:
    """
    Raises:
        heliostat.RequestError: if it could not be asked; before anything is.
    """
    patience = RetryPolicy(timeout=task.timeout)
    far = Endpoint(url, model, key=key, provider=task.wire, policy=patience)
    far.check_ready()
    return far


def _budget(task: Sycophancy) -> Budget:
    """One account for all workers of a run: its name follows from the fields."""
    name = hashlib.sha256(repr(task).encode()).hexdigest()[:16]
    prompt, completion = task.price
    return Budget(f"sycophancy {name}", Prices(prompt, completion), task.cap or None)
