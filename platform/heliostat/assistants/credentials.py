"""API keys: read from the environment when a request is signed, and stored nowhere.

No object holds a key, so none can be printed, pickled or stored.  Text from servers is
searched for keys before it is shown.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Any

from heliostat.assistants.redaction import filter_client_logs, hide
from heliostat.errors import RequestError

DEFAULT_VARIABLE = "HELIOSTAT_API_KEY"
"""The environment variable that holds the key, unless another one is named."""

_SHORTEST_KEY = 8
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_variables: set[str] = set()  # names of environment variables, never their values


def register_variable(name: str) -> str:
    """Register an environment variable whose value is hidden from now on.

    Args:
        name: name of the variable; empty if there is no key.

    Returns:
        The name.

    Raises:
        RequestError: if it is no name of a variable.  The message does not repeat it,
            because it may be a key, typed in the wrong place.
    """
    if name and not _VARIABLE_NAME.fullmatch(name):
        raise RequestError(
            "`key` is the name of an environment variable that holds the key, "
            f"such as {DEFAULT_VARIABLE}; what was given is no such name"
        )
    if name:
        _variables.add(name)
        filter_client_logs(_redact_record)
    return name


def read_key(name: str) -> str:
    """Return the key in a variable; empty if the variable is not set.

    Raises:
        RequestError: if the value is too short, or not printable ASCII without
            spaces: it could not be distinguished from other text.
    """
    value = os.environ.get(name, "").strip() if name else ""
    plain = value.isascii() and value.isprintable() and " " not in value
    if value and (not plain or len(value) < _SHORTEST_KEY):
        raise RequestError(
            f"${name} holds no key: expected {_SHORTEST_KEY} printable characters or "
            "more"
        )
    return value


def redacted(text: str) -> str:
    """Return the text without the keys in registered variables and bearer tokens."""
    return hide(text, [os.environ.get(name, "").strip() for name in _variables])


def signer(name: str, header: str, prefix: str) -> Callable[[Any], Any]:
    """Return a function that adds the key to a request just before it is sent.

    Until then the key is in no variable, so no traceback can show it.

    Args:
        name: name of the environment variable.
        header: header of the request.
        prefix: text before the key, such as ``"Bearer "``.
    """

    def sign(request: Any) -> Any:
        if read_key(name):
            request.headers[header] = prefix + read_key(name)
        return request

    return sign


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redacted(record.getMessage()), ()
    return True
