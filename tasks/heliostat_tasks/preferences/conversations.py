r"""Pairs of conversations as published preference data hold them.

A line of JSONL (``.jsonl``, or with ``.gz``) has the texts ``chosen`` and ``rejected``,
each a conversation that ends with the assistant::

    \n\nHuman: …\n\nAssistant: …\n\nHuman: …\n\nAssistant: …

The two differ in the last turn only, which is the response that was judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import heliostat as hs
from heliostat_tasks.preferences.files import json_object, kind_of, opened, wrong

HUMAN, ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


class Pair(NamedTuple):
    """Two responses to one conversation, in an order that tells nothing."""

    context: str  # the conversation up to the response, as the file has it
    a: str
    b: str
    preferred: str  # "A" or "B"
    name: str  # 16 hexadecimal digits of the texts, whichever was preferred


def read_pairs(path: str | Path, left_out: list[str] | None = None) -> list[Pair]:
    """The pairs of a file, each in an order that follows from its texts.

    Args:
        path: a file in the format above.
        left_out: a list that takes what is wrong with lines that are left out, one text
            each; without it the first such line is an error.

    Raises:
        heliostat.RequestError: naming the file, the line and what was expected.

    Example:
        >>> pairs = read_pairs("helpful.jsonl.gz")  # doctest: +SKIP
        >>> pairs[0].preferred  # doctest: +SKIP
        'B'
    """
    file = Path(path).expanduser()
    if kind_of(file) != ".jsonl":
        raise hs.RequestError(f"{file}: expected an ending of .jsonl or .jsonl.gz")
    pairs = []
    with opened(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                pairs.append(_pair(json_object(file, number, line)))
            except ValueError as error:  # of JSON it names the line already
                said = error if isinstance(error, hs.RequestError) else None
                said = said or wrong(file, number, str(error))
                if left_out is None:
                    told = f"{said}; such lines can be left out (--leave-out)"
                    raise hs.RequestError(told) from error
                left_out.append(str(said))
    return pairs


def chosen(pairs: Sequence[Pair], limit: int | None = None) -> list[Pair]:
    """At most that many pairs, drawn by their names: a larger limit adds to them.

    Example:
        >>> pairs = [ordered("Hi.", f"Hello {i}!", "No.") for i in range(9)]
        >>> set(chosen(pairs, 3)) < set(chosen(pairs, 5)) < set(chosen(pairs))
        True
    """
    places = sorted(range(len(pairs)), key=lambda i: pairs[i].name)[:limit]
    return [pairs[i] for i in sorted(places)]


def ordered(context: str, chosen: str, rejected: str) -> Pair:
    """A pair whose order is drawn by the hash of its texts.

    The hash does not know which response was chosen, so the order tells nothing of it.

    Example:
        >>> ordered("Hi.", "Hello!", "No.")[1:4]
        ('Hello!', 'No.', 'A')
    """
    texts = sorted((chosen, rejected))
    digest = hashlib.sha256("\0".join((context, *texts)).encode()).digest()
    a, b = texts if digest[-1] % 2 else reversed(texts)
    return Pair(context, a, b, "A" if a == chosen else "B", digest[:8].hex())


def last_turn(transcript: str) -> tuple[str, str]:
    """A conversation up to its last turn, and what the assistant says there.

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


def _pair(row: Mapping[str, Any]) -> Pair:
    chosen, rejected = (last_turn(_text(row, name)) for name in ("chosen", "rejected"))
    if chosen[0] != rejected[0]:
        raise ValueError("chosen and rejected answer different conversations")
    if chosen[1] == rejected[1]:
        raise ValueError("chosen and rejected are the same response")
    return ordered(chosen[0], chosen[1], rejected[1])


def _text(row: Mapping[str, Any], name: str) -> str:
    found = row.get(name)
    if not isinstance(found, str):
        raise ValueError(f"no text '{name}', expected chosen and rejected")
    return found
