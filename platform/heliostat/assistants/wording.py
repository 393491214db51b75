"""Texts from outside: made storable as data, and printable where they are quoted."""

from __future__ import annotations

import re

TEXT = 100_000
"""Characters of a reply that are kept."""

_LINE = 200
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TAG = re.compile(r"<[^<>]{0,100}>")


def storable(text: str) -> str:
    """The text with U+FFFD for NUL and lone surrogates, which UTF-8 files and many
    databases refuse; nothing else is changed."""
    return _UNSTORABLE.sub("\ufffd", text)


def printable(text: str, most: int = _LINE) -> str:
    """One line that is safe to log: without control characters, and without the tags
    of a page.  Whoever shows it takes it as text: brackets are words here.

    Example:
        >>> printable("<b>too\\x1b many</b>\\n\\ntokens: [key] > {limit}")
        'too many tokens: [key] > {limit}'
    """
    plain = _TAG.sub(" ", text[: 20 * most])
    kept = "".join(c if c.isprintable() else " " for c in plain)
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1] + "…"
