"""Page of transcripts in a browser: queries of tests, and hostile replies."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HOSTILE = (
    "</script><script>document.title = 'run'</script>",
    "<!--<script>document.title = 'run'//",
    "<img src=x onerror=\"document.title = 'run'\">",
    "<svg onload=alert(1)><iframe src=javascript:alert(1)>",
    "]]>\"'`\\u003cb>${document.title = 'run'}{{data}}{{script}}",
    "javascript:document.title='run'\u2028\u2029",
    "\u202etxet\u202c \u200b\x00\x07\x1b[31m",
)
"""Replies that would run or be hidden if a page did not show them as text."""

TEXTS = "[...document.querySelectorAll('.text')].map((one) => one.textContent)"
SHOWN = """[...document.querySelectorAll('.talk')].map((talk) => [
    talk.closest('.item').querySelector('h2').textContent,
    talk.querySelector('h3').textContent])"""
"""Expressions for all texts, and for item and condition of all conversations."""


def at(file: Path, **filters: Any) -> str:
    """Return the address of a page with its filters set."""
    return f"file://{file}#{urlencode(filters)}"
