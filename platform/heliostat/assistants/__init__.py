"""Assistants: chat models that a task can talk to.

    from heliostat.assistants import Budget, Cached, Endpoint, Message, Prices, Settings

    model = Endpoint("https://host/v1", "model-x")     # the key: $HELIOSTAT_API_KEY
    budget = Budget("my run", Prices(prompt=0.5, completion=1.5), cap=20.0)
    assistant = Cached(model, budget)                  # asked once, charged once
    reply = await assistant.reply([Message("user", "Hello")], Settings(seed=1))

An assistant is anything with a name and ``reply`` (:class:`Assistant`): an
:class:`Endpoint`, a small model in this process (:func:`serving`), or a function
(:class:`Scripted`); :class:`Cached` wraps any of them.  Objects belong to one process
and to no event loop.
"""

from __future__ import annotations

from heliostat.assistants.attempts import Patience
from heliostat.assistants.cached import Cached
from heliostat.assistants.endpoint import Endpoint
from heliostat.assistants.limiter import Limiter
from heliostat.assistants.local import serving
from heliostat.assistants.message import (
    Absent,
    Assistant,
    Exhausted,
    Message,
    Reply,
    Settings,
    Unanswered,
    Unreachable,
    request_key,
)
from heliostat.assistants.replies import Replies
from heliostat.assistants.scripted import Scripted, uniform
from heliostat.assistants.spending import Budget, Prices, Spent

__all__ = [
    "Absent",
    "Assistant",
    "Budget",
    "Cached",
    "Endpoint",
    "Exhausted",
    "Limiter",
    "Message",
    "Patience",
    "Prices",
    "Replies",
    "Reply",
    "Scripted",
    "Settings",
    "Spent",
    "Unanswered",
    "Unreachable",
    "request_key",
    "serving",
    "uniform",
]
