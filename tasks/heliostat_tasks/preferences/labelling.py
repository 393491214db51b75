"""Features of pairs as an assistant sees them: who has more of what.

Each feature of each pair is asked twice, with the responses in both orders, since
assistants favour a place.  A feature counts where both verdicts agree on a response;
where they do not, or where one says neither, it is 0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from heliostat_tasks.preferences.transcripts import Pair

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[str], Awaitable[str]]
"""A prompt to a reply."""

AT_ONCE = 8
"""Pairs in flight at a time; the assistant's client limits its calls by itself."""

PROMPT = """\
Here are a conversation and two responses to its last turn.

<conversation>
{context}
</conversation>

<response A>
{a}
</response A>

<response B>
{b}
</response B>

Which response {question}? Answer with one letter and nothing else: A, B, or N if \
neither does more than the other."""

VERDICT = re.compile(r"\W*(?:(?:the )?(?:answer|response)\W+(?:is\W+)?)?([abn])\W*")
"""A letter alone, bracketed or introduced; a sentence that begins with A is none."""

SIGNS = {"a": 1, "b": -1, "n": 0}


def prompt(pair: Pair, question: str) -> str:
    """What is asked of one pair: the conversation, both responses, one question."""
    texts = {"context": pair.context.strip(), "a": pair.a, "b": pair.b}
    return PROMPT.format(**texts, question=question)


def verdict(reply: str) -> int | None:
    """1 for A, −1 for B, 0 for neither; None for what is no verdict.

    Example:
        >>> [verdict(text) for text in ("(A)", "Answer: b.", "N", "A hard question")]
        [1, -1, 0, None]
    """
    found = VERDICT.fullmatch(reply.strip().lower())
    return SIGNS[found[1]] if found else None


async def label(
    pairs: Iterable[Pair],
    features: Mapping[str, str],
    ask: Ask,
    at_once: int = AT_ONCE,
) -> pd.DataFrame:
    """A table of pairs and features that :class:`Preferences` reads.

    Verdicts that cannot be read are never taken for an answer: the feature is 0, and
    ``unparsed`` counts them; ``inconsistent`` counts features whose two orders chose
    different responses.

    Args:
        pairs: as :func:`~heliostat_tasks.preferences.transcripts.read_pairs` has them.
        features: names, each with what completes "Which response …?".
        ask: the assistant, an async function of a prompt; what it raises ends all.
        at_once: pairs in flight at a time.

    Returns:
        A row per pair: pair, preferred, unparsed, inconsistent, then −1, 0 or 1 for
        each feature; ``to_csv(path, index=False)`` makes a file for ``--data``.

    Example:
        >>> from heliostat_tasks.preferences.transcripts import ordered
        >>> async def shorter(text):
        ...     return "N"
        >>> pairs = [ordered("Hi.", "Hello!", "No.")]
        >>> table = asyncio.run(label(pairs, {"polite": "is more polite"}, shorter))
        >>> table["polite"].tolist()
        [0]
    """
    import pandas as pd

    gate = asyncio.Semaphore(at_once)

    async def row(pair: Pair) -> dict[str, Any]:
        async with gate:
            return await _row(pair, features, ask)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(row(pair)) for pair in pairs]
    except ExceptionGroup as failed:  # the first one tells why; the rest were cancelled
        raise failed.exceptions[0] from None
    columns = ["pair", "preferred", "unparsed", "inconsistent", *features]
    return pd.DataFrame([task.result() for task in tasks], columns=columns)


async def _row(pair: Pair, features: Mapping[str, str], ask: Ask) -> dict[str, Any]:
    turned = pair._replace(a=pair.b, b=pair.a)
    prompts = [prompt(p, q) for q in features.values() for p in (pair, turned)]
    verdicts = [verdict(reply) for reply in await asyncio.gather(*map(ask, prompts))]
    both = list(zip(verdicts[::2], verdicts[1::2], strict=True))
    return {
        "pair": pair.name,
        "preferred": pair.preferred,
        "unparsed": verdicts.count(None),
        "inconsistent": sum(there == here != 0 for here, there in both if here),
        **{name: _agreed(*two) for name, two in zip(features, both, strict=True)},
    }


def _agreed(here: int | None, there: int | None) -> int:
    """What both orders say; in the second one A is the pair's B."""
    return here if here and there == -here else 0
