"""Assistants: chat models that a task can talk to.

    from heliostat.assistants import Budget, Cached, Endpoint, Message, Prices, Settings

    model = Endpoint("https://host/v1", "model-x")     # key: $HELIOSTAT_API_KEY
    budget = Budget("my run", Prices(prompt=0.5, completion=1.5), cap=20.0)
    assistant = Cached(model, budget)                  # each request is paid once
    reply = await assistant.reply([Message("user", "Hello")], Settings(seed=1))

An assistant has a name and a method ``reply`` (:class:`Assistant`).  It is an
:class:`Endpoint`, a small local model (:func:`serving`), or a function
(:class:`Scripted`); :class:`Cached` wraps any of them.  Objects belong to one process,
and to no event loop.

In reading order:

    message     the contract: messages, settings, replies, errors
    cache       the cache of replies (SQLite: database) and reservations of money
    budget      prices and the cap
    endpoint    a server's model
    retry       when a request is retried, and when it or the run has failed
    limiter     how many requests are in flight
    health      does the server answer at all?
    client      one attempt; failures: what can be wrong with it
    providers   formats of requests and replies; transport: connections
    credentials, redaction, text    keys stay secret; text from outside is safe
    local, scripted                 models without a server elsewhere
"""

from __future__ import annotations

from heliostat.assistants.budget import Budget, Prices, Spent
from heliostat.assistants.cache import Cached, ReplyCache
from heliostat.assistants.endpoint import Endpoint
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.local import serving
from heliostat.assistants.message import (
    Assistant,
    BudgetExhausted,
    Message,
    Reply,
    ServerSilent,
    Settings,
    Unanswered,
    Unreachable,
    request_key,
)
from heliostat.assistants.retry import RetryPolicy
from heliostat.assistants.scripted import Scripted, uniform

__all__ = [
    "Assistant",
    "Budget",
    "BudgetExhausted",
    "Cached",
    "Endpoint",
    "Limiter",
    "Message",
    "Prices",
    "Reply",
    "ReplyCache",
    "RetryPolicy",
    "Scripted",
    "ServerSilent",
    "Settings",
    "Spent",
    "Unanswered",
    "Unreachable",
    "request_key",
    "serving",
    "uniform",
]
