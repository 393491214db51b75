"""Keys: read from the environment when a request is signed, and kept nowhere.

No object holds a key, so none can be printed, pickled or stored; what a server says is
searched for it before anybody sees it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Any

from heliostat.assistants.redaction import hidden, redact_logs
from heliostat.errors import RequestError

KEY = "HELIOSTAT_API_KEY"
"""The environment variable that holds the key, unless another is named."""

_SHORTEST = 8
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_known: set[str] = set()  # names of variables, never what they hold


def variable(name: str) -> str:
    """The name of an environment variable that holds a key; empty for no key.

    Raises:
        RequestError: if it is no such name. It may be the key itself, typed in the
            wrong place, and is therefore not repeated.
    """
    if name and not _VARIABLE.fullmatch(name):
        raise RequestError(
            "`key` is the name of an environment variable that holds the key, "
            f"such as {KEY}; what was given is no such name"
        )
    if name:
        _known.add(name)
        redact_logs(_redact)
    return name


def key(name: str) -> str:
    """What the variable holds now; empty if it is not set.

    Raises:
        RequestError: if it can be no key: it could not be told from other text.
    """
    held = os.environ.get(name, "").strip() if name else ""
    plain = held.isascii() and held.isprintable() and " " not in held
    if held and (not plain or len(held) < _SHORTEST):
        raise RequestError(
            f"${name} holds no key: expected {_SHORTEST} printable characters or more"
        )
    return held


def redacted(text: str) -> str:
    """The text without any key that this process knows, and without bearer tokens."""
    return hidden(text, [os.environ.get(name, "").strip() for name in _known])


def signing(name: str, header: str, scheme: str) -> Callable[[Any], Any]:
    """A function that signs a request in the last moment before it is sent.

    Until then, the key is in no variable that a traceback could show.
    """

    def signed(request: Any) -> Any:
        if key(name):
            request.headers[header] = scheme + key(name)
        return request

    return signed


def _redact(record: logging.LogRecord) -> bool:
    record.msg, record.args = redacted(record.getMessage()), ()
    return True
