"""Keys in what others say: found in whatever dress, and hidden.

A server may repeat the key that it was sent, whole, masked, or encoded, and so may a
model behind it.  Letters and digits are what is compared, without case and whatever
stands between them, as they are written and as a page would show them; hidden is what
has twelve of a key in a row, or eight from its beginning or its end, which is what
servers that mask keys tend to show.
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

HIDDEN = "[key]"

_RUN = 12  # letters and digits of a key in a row
_EDGE = 8  # likewise from its beginning or its end
_BEARER = re.compile(r"(?i)\b(bearer\s+)(?=\S*\d)[\w.~+/=-]{8,}")
_MARK = re.compile(
    r"<[^<>]{0,99}>|&#?\w{1,9};|%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}"
    r"|[^\x00-\x7f]"
)
"""What is shown as something else: tags, entities, escapes, letters of full width."""

_PARTS = ("connection", "http11", "proxy", "socks")


def hidden(text: str, keys: Iterable[str]) -> str:
    """The text without these keys, and without bearer tokens.

    Example:
        >>> hidden("S K - 0 1 2 3 4 5 6 7 8 9 ! and sk-01234…", ["sk-0123456789"])
        '[key] ! and sk-01234…'
    """
    held = [key for key in keys if len(key) >= _EDGE]
    for start, end in reversed(_joined(_spans(text, held)) if held else []):
        text = text[:start] + HIDDEN + text[end:]
    return _BEARER.sub(rf"\1{HIDDEN}", text)


def redact_logs(redact: Callable[[logging.LogRecord], bool]) -> None:
    """Let the client's log be changed by a filter: it says what servers say."""
    for part in ("httpx", *(f"httpcore.{p}" for p in _PARTS)):
        logging.getLogger(part).addFilter(redact)  # once: filters are a set


class _View(NamedTuple):
    plain: str  # letters and digits alone, in small letters
    where: list[tuple[int, int]]  # and where in the text each of them is


def _spans(text: str, keys: list[str]) -> Iterator[tuple[int, int]]:
    """Where keys stand in a text: pieces of them, that overlap."""
    for key in keys:
        yield from (found.span() for found in re.finditer(re.escape(key), text))
    pieces = {piece for key in keys for piece in _pieces(key)}
    for plain, where in _views(text):
        for size in {len(piece) for piece in pieces}:
            for at in range(len(plain) - size + 1):
                if plain[at : at + size] in pieces:
                    yield where[at][0], where[at + size - 1][1]


def _views(text: str) -> Iterator[_View]:
    """The text as it is written; and as it is shown, if that is something else."""
    yield _view((c, at, at + 1) for at, c in enumerate(text))
    if _MARK.search(text):
        yield _view(_shown(text))


def _view(letters: Iterable[tuple[str, int, int]]) -> _View:
    kept = [(c, start, end) for c, start, end in letters if _counts(c)]
    plain = "".join(c for c, _, _ in kept).lower()
    return _View(plain, [(start, end) for _, start, end in kept])


def _shown(text: str) -> Iterator[tuple[str, int, int]]:
    """Characters as a page shows them, and where each is written."""
    at = 0
    for mark in _MARK.finditer(text):
        yield from ((text[i], i, i + 1) for i in range(at, mark.start()))
        yield from ((c, *mark.span()) for c in _meant(mark[0]))
        at = mark.end()
    yield from ((text[i], i, i + 1) for i in range(at, len(text)))


def _meant(mark: str) -> str:
    """
    Example:
        >>> [_meant(mark) for mark in ("<b>", "&#65;", "%41", r"\x41", "\uff21")]
        ['', 'A', 'A', 'A', 'A']
    """
    if mark[0] == "<":
        return ""
    if mark[0] == "\\":
        return chr(int(mark[2:], 16))
    return unicodedata.normalize("NFKC", unquote(html.unescape(mark)))


def _pieces(key: str) -> Iterator[str]:
    """What of a key is too much, in any dress."""
    plain = _plain(key)
    if len(plain) < _EDGE:
        return  # too little to compare: only as it stands
    for size in range(_EDGE, _RUN):
        yield from (plain[:size], plain[-size:])
    for dressed, letters in _dresses(key):
        run = round(min(_RUN, len(plain)) * letters)
        yield from (dressed[i : i + run] for i in range(len(dressed) - run + 1))


def _dresses(key: str) -> Iterator[tuple[str, float]]:
    """How a key may be written, and how many letters each of its characters takes."""
    yield from ((_plain(key), 1), (_plain(key[::-1]), 1), (_plain(quote(key, "")), 1))
    yield key.encode().hex(), 2
    for shift in range(3):  # base64 depends on what stands before, modulo three
        whole = base64.b64encode(b"\0" * shift + key.encode()).decode()
        first, last = -(-shift * 8 // 6), (shift + len(key)) * 8 // 6
        yield _plain(whole[first:last]), 4 / 3


def _plain(text: str) -> str:
    return "".join(filter(_counts, text)).lower()


def _counts(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that overlap as one, in order."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
