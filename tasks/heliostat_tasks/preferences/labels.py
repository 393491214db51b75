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

from heliostat import RunFailed
from heliostat.assistants import Unanswered
from heliostat_tasks.preferences.conversations import Pair

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[str], Awaitable[str]]
"""A prompt to a reply."""

AT_ONCE = 16
"""Pairs in flight at a time, each with one request: a cap reserves no more."""

IN_A_ROW = 16
"""Pairs without an answer, and none with one between them: nobody answers."""

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
    left_out: list[str] | None = None,
) -> pd.DataFrame:
    """A table of pairs and features that :class:`Preferences` reads.

    Verdicts that cannot be read are never taken for an answer: the feature is 0, and
    ``unparsed`` counts them; ``inconsistent`` counts features whose two orders chose
    different responses.

    Args:
        pairs: of :func:`~heliostat_tasks.preferences.conversations.read_pairs`.
        features: names, each with what completes "Which response …?".
        ask: the assistant, an async function of a prompt; what it raises ends all,
            when the other pairs in flight have ended.
        at_once: pairs in flight at a time.
        left_out: a list that takes why pairs are left out that found no answer, one
            text each; without it the first such pair ends all.

    Returns:
        A row per pair: pair, preferred, unparsed, inconsistent, then −1, 0 or 1 for
        each feature; ``to_csv(path, index=False)`` makes a file for ``--data``.

    Raises:
        heliostat.assistants.Unanswered: see ``left_out``.
        heliostat.RunFailed: if nobody answers any more.

    Example:
        >>> from heliostat_tasks.preferences.conversations import ordered
        >>> async def shorter(text):
        ...     return "N"
        >>> pairs = [ordered("Hi.", "Hello!", "No.")]
        >>> table = asyncio.run(label(pairs, {"polite": "is more polite"}, shorter))
        >>> table["polite"].tolist()
        [0]
    """
    import pandas as pd

    work = _Work(pairs, left_out)
    ends = await asyncio.gather(
        *(work.done(features, ask) for _ in range(at_once)), return_exceptions=True
    )
    for end in filter(None, ends):
        raise end
    columns = ["pair", "preferred", "unparsed", "inconsistent", *features]
    return pd.DataFrame([row for _, row in sorted(work.rows.items())], columns=columns)


class _Work:
    """Pairs to be labelled, and what came of them; several take from it at a time."""

    def __init__(self, pairs: Iterable[Pair], left_out: list[str] | None) -> None:
        self.todo = list(enumerate(pairs))[::-1]
        self.rows: dict[int, dict[str, Any]] = {}
        self.left_out, self.streak = left_out, 0

    async def done(self, features: Mapping[str, str], ask: Ask) -> None:
        """Take pairs until there are none, or until one has failed."""
        try:
            while self.todo:
                await self._next(features, ask)
        except BaseException:
            self.todo.clear()  # the others end what they have begun, and take no more
            raise

    async def _next(self, features: Mapping[str, str], ask: Ask) -> None:
        place, pair = self.todo.pop()
        try:
            self.rows[place] = await _row(pair, features, ask)
            self.streak = 0
        except Unanswered as error:
            self._lose(error)

    def _lose(self, error: Unanswered) -> None:
        if self.left_out is None:
            raise error
        self.left_out.append(str(error))
        self.streak += 1
        if self.streak == IN_A_ROW:
            raise RunFailed(f"{IN_A_ROW} pairs in a row found no answer: {error}")


async def _row(pair: Pair, features: Mapping[str, str], ask: Ask) -> dict[str, Any]:
    """One request after the other: what fails for a pair, fails once."""
    turned = pair._replace(a=pair.b, b=pair.a)
    prompts = [prompt(p, q) for q in features.values() for p in (pair, turned)]
    verdicts = [verdict(await ask(text)) for text in prompts]
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
