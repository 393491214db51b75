"""Clients of a worker: the assistant, the judge and the scorer, made once."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import NamedTuple

import heliostat as hs
from heliostat.assistants import (
    Assistant,
    Budget,
    Cached,
    Endpoint,
    ReplyCache,
    RetryPolicy,
    serving,
)
from heliostat.assistants.credentials import DEFAULT_VARIABLE
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.scoring import RatingScorer, Scorer, load_function

ASSISTANT_KEY = DEFAULT_VARIABLE
JUDGE_KEY, SCORER_KEY = "HELIOSTAT_JUDGE_KEY", "HELIOSTAT_SCORER_KEY"


class Clients(NamedTuple):
    """Clients of one worker, and the local server that lives as long as they do."""

    assistant: Assistant
    judge: Judge
    scorer: Scorer | None
    servers: contextlib.ExitStack


class Models:
    """Cached models of one run, with one budget and one local server.

    Args:
        budget: that endpoints charge; the local model is free.
        provider: provider of endpoints.
        timeout: timeout of one attempt to get a reply from an endpoint, s.
    """

    def __init__(self, budget: Budget, provider: str, timeout: float) -> None:
        self.budget, self.provider = budget, provider
        self.policy = RetryPolicy(timeout=timeout)
        self.cache, self.servers = ReplyCache(), contextlib.ExitStack()

    @cached_property
    def local(self) -> Assistant:
        """The local model, which is started at its first use.

        Raises:
            heliostat.RequestError: if it is not installed.
        """
        server = self.servers.enter_context(serving())
        return Cached(server, Budget(self.budget.account), self.cache)

    def endpoint(self, url: str, model: str, key: str) -> Assistant:
        """Return a model behind an address.

        Args:
            url: url of the endpoint.
            model: its name there.
            key: name of the environment variable with the key.

        Raises:
            heliostat.RequestError: if no request can be sent to it.
        """
        endpoint = Endpoint(
            url, model, key=key, provider=self.provider, policy=self.policy
        )
        endpoint.check_ready()
        return Cached(endpoint, self.budget, self.cache)


def build_judge(
    models: Models, kind: str, url: str, model: str, temperature: float | None
) -> Judge:
    """Return the judge.

    Args:
        models: models of the run.
        kind: rules, local or endpoint.
        url: url of an endpoint.
        model: model of an endpoint.
        temperature: temperature of an endpoint.
    """
    match kind:
        case "rules":
            return Judge()
        case "local":
            return Judge(models.local, grammar=True)
        case _:
            judge = models.endpoint(url, model, JUDGE_KEY)
            return Judge(judge, temperature=temperature)


def build_scorer(
    models: Models,
    kind: str | hs.Code,
    url: str,
    model: str,
    temperature: float | None,
) -> Scorer | None:
    """Return the scorer, or None.

    Args:
        models: models of the run.
        kind: none, local, endpoint or a function.
        url: url of an endpoint.
        model: model of an endpoint.
        temperature: temperature of an endpoint.
    """
    if isinstance(kind, hs.Code):
        return load_function(kind)
    match kind:
        case "none":
            return None
        case "local":
            return RatingScorer(models.local, grammar=True)
        case _:
            scorer = models.endpoint(url, model, SCORER_KEY)
            return RatingScorer(scorer, temperature=temperature)
