"""Text from servers: made safe to store as data, and to print on one line."""

from __future__ import annotations

import re

MAX_CHARACTERS = 100_000
"""Length of the longest reply that is kept."""

_LINE = 200
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TAG = re.compile(r"<[^<>]{0,100}>")


def storable(text: str) -> str:
    """Return the text with U+FFFD for NUL and lone surrogates.

    UTF-8 files and many databases refuse these; nothing else is changed.

    Example:
        >>> storable("a\\x00b\\n")
        'a\ufffdb\\n'
    """
    return _UNSTORABLE.sub("\ufffd", text)


def printable(text: str, limit: int = _LINE) -> str:
    """Return one line that is safe to log: no control characters and no HTML tags.

    Print it as plain text: square brackets in it are no markup.

    Args:
        text: text of any length.
        limit: characters of the result at most.

    Example:
        >>> printable("<b>too\\x1b many</b>\\n\\ntokens: [key] > {limit}")
        'too many tokens: [key] > {limit}'
    """
    without_tags = _TAG.sub(" ", text[: 20 * limit])
    visible = "".join(c if c.isprintable() else " " for c in without_tags)
    line = " ".join(visible.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
