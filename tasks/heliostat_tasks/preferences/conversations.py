r"""Pairs of conversations, in the format of published preference data.

A line of JSONL (``.jsonl``, or with ``.gz``) has the texts ``chosen`` and ``rejected``.
Each is a conversation that ends with the assistant::

    \n\nHuman: …\n\nAssistant: …\n\nHuman: …\n\nAssistant: …

The two differ in the last turn only: it is the response that was judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import heliostat as hs
from heliostat_tasks.preferences.files import (
    inner_suffix,
    json_object,
    line_error,
    open_text,
)

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


class ResponsePair(NamedTuple):
    """Two responses to one conversation, in an order that does not depend on which was
    preferred."""

    context: str  # the conversation before the response, as in the file
    a: str
    b: str
    preferred: str  # "A" or "B"
    name: str  # 16 hexadecimal digits: a hash of the texts


def read_pairs(
    path: str | Path, left_out: list[str] | None = None
) -> list[ResponsePair]:
    """Read the pairs of a file.

    Args:
        path: a file in the format above.
        left_out: receives one message per malformed line, which is left out; without
            this list, the first malformed line is an error.

    Returns:
        The pairs, each in an order that follows from its texts.

    Raises:
        heliostat.RequestError: for a malformed file, naming the line.

    Example:
        >>> import json, tempfile
        >>> asks = "\\n\\nHuman: Why?\\n\\nAssistant: "
        >>> line = {"chosen": asks + "Because.", "rejected": asks + "No."}
        >>> file = Path(tempfile.mkdtemp(), "pairs.jsonl")
        >>> _ = file.write_text(json.dumps(line))
        >>> (pair,) = read_pairs(file)
        >>> pair.a if pair.preferred == "A" else pair.b
        'Because.'
    """
    file = Path(path).expanduser()
    if inner_suffix(file) != ".jsonl":
        raise hs.RequestError(f"{file}: expected an ending of .jsonl or .jsonl.gz")
    pairs = []
    with open_text(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                pairs.append(_pair(json_object(file, number, line)))
            except ValueError as error:
                message = _message(file, number, error)
                if left_out is None:
                    hint = "such lines can be left out (--leave-out)"
                    raise hs.RequestError(f"{message}; {hint}") from error
                left_out.append(message)
    return pairs


def _message(file: Path, number: int, error: ValueError) -> str:
    """The message of a line's error; a ``RequestError`` names the line already."""
    if isinstance(error, hs.RequestError):
        return str(error)
    return str(line_error(file, number, str(error)))


def sample_pairs(
    pairs: Sequence[ResponsePair], limit: int | None = None
) -> list[ResponsePair]:
    """Select at most ``limit`` pairs by their names: a larger limit adds to them.

    Example:
        >>> pairs = [ordered("Hi.", f"Hello {i}!", "No.") for i in range(9)]
        >>> set(sample_pairs(pairs, 3)) < set(sample_pairs(pairs, 5)) < set(pairs)
        True
    """
    selected = sorted(range(len(pairs)), key=lambda i: pairs[i].name)[:limit]
    return [pairs[i] for i in sorted(selected)]


def ordered(context: str, chosen: str, rejected: str) -> ResponsePair:
    """Make a pair, in an order drawn by the hash of its texts.

    The hash is the same whichever response was chosen, so the order reveals nothing.

    Example:
        >>> ordered("Hi.", "Hello!", "No.")[1:4]
        ('Hello!', 'No.', 'A')
    """
    texts = sorted((chosen, rejected))
    digest = hashlib.sha256("\0".join((context, *texts)).encode()).digest()
    a, b = texts if digest[-1] % 2 else reversed(texts)
    return ResponsePair(context, a, b, "A" if a == chosen else "B", digest[:8].hex())


def last_turn(transcript: str) -> tuple[str, str]:
    """Split a conversation into the part before its last turn, and the response there.

    Raises:
        ValueError: if it has no turns, or does not end with the assistant.

    Example:
        >>> last_turn("\\n\\nHuman: Why?\\n\\nAssistant: Because.")
        ('\\n\\nHuman: Why?', 'Because.')
    """
    context, mark, response = transcript.rpartition(ASSISTANT)
    if not mark:
        raise ValueError("no assistant speaks, expected turns of Human: and Assistant:")
    if HUMAN in response:
        raise ValueError("the human speaks last, expected the assistant")
    if HUMAN not in context:
        raise ValueError("no human speaks before the last response")
    if not response.strip():
        raise ValueError("the last response is empty")
    return context, response.strip()


def _pair(row: Mapping[str, Any]) -> ResponsePair:
    chosen, rejected = (last_turn(_text(row, name)) for name in ("chosen", "rejected"))
    if chosen[0] != rejected[0]:
        raise ValueError("chosen and rejected answer different conversations")
    if chosen[1] == rejected[1]:
        raise ValueError("chosen and rejected are the same response")
    return ordered(chosen[0], chosen[1], rejected[1])


def _text(row: Mapping[str, Any], name: str) -> str:
    text = row.get(name)
    if not isinstance(text, str):
        raise ValueError(f"no text '{name}', expected chosen and rejected")
    return text
