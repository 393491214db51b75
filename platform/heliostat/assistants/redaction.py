"""Redaction: find API keys in text from servers, in any encoding, and hide them.

A server, or a model behind it, may repeat the key that it received: complete, masked or
encoded.  Compared are the letters and digits, without case and without what stands
between them, of the text as written and as a browser would show it.  Hidden is whatever
contains twelve characters of a key in a row, or eight from its beginning or its end,
which is what servers that mask keys tend to show.
"""

from __future__ import annotations

import base64
import html
import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

PLACEHOLDER = "[key]"

_RUN = 12  # letters and digits of a key in a row
_EDGE = 8  # likewise from its beginning or its end
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?=\S*\d)[\w.~+/=-]{8,}")
_MARK = re.compile(
    r"<[^<>]{0,99}>|&#?\w{1,9};|%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
    r"|[^\x00-\x7f]"
)
"""Markup that a browser shows as other text: tags, entities, escapes, full width."""

_LOGGERS = ("connection", "http11", "proxy", "socks")


def hide(text: str, keys: Iterable[str]) -> str:
    """Return the text without these keys and without bearer tokens.

    Args:
        text: from a server.
        keys: to hide; keys of fewer than eight characters are ignored.

    Example:
        >>> hide("S K - 0 1 2 3 4 5 6 7 8 9 ! and sk-01234…", ["sk-0123456789"])
        '[key] ! and sk-01234…'
    """
    long = [key for key in keys if len(key) >= _EDGE]
    for start, end in reversed(_merge(_spans(text, long)) if long else []):
        text = text[:start] + PLACEHOLDER + text[end:]
    return _BEARER.sub(rf"\1{PLACEHOLDER}", text)


def filter_client_logs(redact: Callable[[logging.LogRecord], bool]) -> None:
    """Add a filter to the loggers of the HTTP client, which log text from servers."""
    for name in ("httpx", *(f"httpcore.{part}" for part in _LOGGERS)):
        logging.getLogger(name).addFilter(redact)  # added once, however often


class _View(NamedTuple):
    plain: str  # letters and digits only, in lower case
    spans: list[tuple[int, int]]  # span of each of them in the text


def _spans(text: str, keys: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the spans of a text that hold a piece of a key; they may overlap."""
    for key in keys:
        yield from (match.span() for match in re.finditer(re.escape(key), text))
    pieces = {piece for key in keys for piece in _pieces(key)}
    for plain, spans in _views(text):
        for size in {len(piece) for piece in pieces}:
            for start in range(len(plain) - size + 1):
                if plain[start : start + size] in pieces:
                    yield spans[start][0], spans[start + size - 1][1]


def _views(text: str) -> Iterator[_View]:
    """Yield the text as written; and as a browser shows it, if that differs."""
    yield _view((c, i, i + 1) for i, c in enumerate(text))
    if _MARK.search(text):
        yield _view(_rendered(text))


def _view(letters: Iterable[tuple[str, int, int]]) -> _View:
    compared = [(c, start, end) for c, start, end in letters if _is_compared(c)]
    plain = "".join(c for c, _, _ in compared).lower()
    return _View(plain, [(start, end) for _, start, end in compared])


def _rendered(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the characters that a browser shows, each with its span in the text."""
    position = 0
    for mark in _MARK.finditer(text):
        yield from ((text[i], i, i + 1) for i in range(position, mark.start()))
        yield from ((c, *mark.span()) for c in _decode(mark[0]))
        position = mark.end()
    yield from ((text[i], i, i + 1) for i in range(position, len(text)))


def _decode(mark: str) -> str:
    """Return the characters that a browser shows for a piece of markup.

    Example:
        >>> [_decode(mark) for mark in ("<b>", "&#65;", "%41", r"\x41", "\uff21")]
        ['', 'A', 'A', 'A', 'A']
    """
    if mark[0] == "<":
        return ""
    if mark[0] == "\\":
        return chr(int(mark[2:], 16))
    return unicodedata.normalize("NFKC", unquote(html.unescape(mark)))


def _pieces(key: str) -> Iterator[str]:
    """Yield the pieces of a key, in all encodings, that must not be shown."""
    plain = _plain(key)
    if len(plain) < _EDGE:
        return  # too few letters and digits: only the complete key is hidden
    for size in range(_EDGE, _RUN):
        yield from (plain[:size], plain[-size:])
    for encoded, letters in _encodings(key):
        run = round(min(_RUN, len(plain)) * letters)
        yield from (encoded[i : i + run] for i in range(len(encoded) - run + 1))


def _encodings(key: str) -> Iterator[tuple[str, float]]:
    """Yield a key in each encoding, with the letters per character of the key."""
    yield from ((_plain(key), 1), (_plain(key[::-1]), 1), (_plain(quote(key, "")), 1))
    yield key.encode().hex(), 2
    for shift in range(3):  # base64 depends on the bytes before the key, modulo three
        encoded = base64.b64encode(b"\0" * shift + key.encode()).decode()
        first, last = -(-shift * 8 // 6), (shift + len(key)) * 8 // 6
        yield _plain(encoded[first:last]), 4 / 3


def _plain(text: str) -> str:
    return "".join(filter(_is_compared, text)).lower()


def _is_compared(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
