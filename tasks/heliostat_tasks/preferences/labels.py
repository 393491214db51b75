"""Labels of pairs by an assistant: the response that has more of each feature.

Assistants favour a position. So each question of each pair is asked twice, with the
responses in both orders. A feature is ±1 where both verdicts agree on a response, and 0
where they disagree or one is neither.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from heliostat import RunFailed
from heliostat.assistants import Unanswered
from heliostat_tasks.preferences.conversations import ResponsePair

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[str], Awaitable[str]]
"""A function from a prompt to a reply."""

AT_ONCE = 16
"""Pairs labelled at a time, each with one request in flight: this bounds the money
that a budget reserves."""

MAX_FAILURES = 16
"""Consecutive pairs without an answer after which the labelling fails."""

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
"""A letter alone, in brackets or introduced; not a sentence that begins with A."""

SIGNS = {"a": 1, "b": -1, "n": 0}


def prompt(pair: ResponsePair, question: str) -> str:
    """Write the prompt for one pair: the conversation, both responses, a question."""
    texts = {"context": pair.context.strip(), "a": pair.a, "b": pair.b}
    return PROMPT.format(**texts, question=question)


def verdict(reply: str) -> int | None:
    """Parse a reply: 1 for A, −1 for B, 0 for neither, None if it is no verdict.

    Example:
        >>> [verdict(text) for text in ("(A)", "Answer: b.", "N", "A hard question")]
        [1, -1, 0, None]
    """
    match = VERDICT.fullmatch(reply.strip().lower())
    return SIGNS[match[1]] if match else None


async def label(
    pairs: Iterable[ResponsePair],
    features: Mapping[str, str],
    ask: Ask,
    at_once: int = AT_ONCE,
    left_out: list[str] | None = None,
) -> pd.DataFrame:
    """Label pairs by features, as a table that :class:`Preferences` reads.

    A reply that is no verdict makes its feature 0; ``unparsed`` counts such replies.
    ``inconsistent`` counts features whose two verdicts chose different responses.

    Args:
        pairs: from :func:`~heliostat_tasks.preferences.conversations.read_pairs`.
        features: the end of "Which response …?", by the name of the feature.
        ask: the assistant, an async function of a prompt. Its exceptions end the
            labelling, once the other pairs in flight are finished.
        at_once: number of pairs in flight.
        left_out: receives one message per pair that stayed unanswered; without this
            list, the first such pair ends the labelling.

    Returns:
        A row per pair: pair, preferred, unparsed, inconsistent, then −1, 0 or 1 for
        each feature. ``to_csv(path, index=False)`` makes a file for ``--data``.

    Raises:
        heliostat.assistants.Unanswered: for an unanswered pair, without ``left_out``.
        heliostat.RunFailed: after ``MAX_FAILURES`` consecutive unanswered pairs.

    Example:
        >>> from heliostat_tasks.preferences.conversations import ordered
        >>> async def undecided(text):
        ...     return "N"
        >>> pairs = [ordered("Hi.", "Hello!", "No.")]
        >>> table = asyncio.run(label(pairs, {"polite": "is more polite"}, undecided))
        >>> table["polite"].tolist()
        [0]
    """
    import pandas as pd

    queue = _Queue(pairs, left_out)
    results = await asyncio.gather(
        *(queue.consume(features, ask) for _ in range(at_once)), return_exceptions=True
    )
    for error in filter(None, results):
        raise error
    columns = ["pair", "preferred", "unparsed", "inconsistent", *features]
    return pd.DataFrame([row for _, row in sorted(queue.rows.items())], columns=columns)


class _Queue:
    """Pairs to label and their rows, shared by several consumers."""

    def __init__(
        self, pairs: Iterable[ResponsePair], left_out: list[str] | None
    ) -> None:
        self.remaining = list(enumerate(pairs))[::-1]
        self.rows: dict[int, dict[str, Any]] = {}
        self.left_out, self.failures = left_out, 0

    async def consume(self, features: Mapping[str, str], ask: Ask) -> None:
        """Label pairs until none is left, or until one fails."""
        try:
            while self.remaining:
                await self._next(features, ask)
        except BaseException:
            self.remaining.clear()  # other consumers finish their pair and stop
            raise

    async def _next(self, features: Mapping[str, str], ask: Ask) -> None:
        number, pair = self.remaining.pop()
        try:
            self.rows[number] = await _row(pair, features, ask)
            self.failures = 0
        except Unanswered as error:
            self._record_failure(error)

    def _record_failure(self, error: Unanswered) -> None:
        if self.left_out is None:
            raise error
        self.left_out.append(str(error))
        self.failures += 1
        if self.failures == MAX_FAILURES:
            raise RunFailed(f"{MAX_FAILURES} pairs in a row found no answer: {error}")


async def _row(
    pair: ResponsePair, features: Mapping[str, str], ask: Ask
) -> dict[str, Any]:
    """Label one pair, with one request at a time: a failure costs one request."""
    swapped = pair._replace(a=pair.b, b=pair.a)
    prompts = [prompt(p, q) for q in features.values() for p in (pair, swapped)]
    verdicts = [verdict(await ask(text)) for text in prompts]
    both = list(zip(verdicts[::2], verdicts[1::2], strict=True))
    return {
        "pair": pair.name,
        "preferred": pair.preferred,
        "unparsed": verdicts.count(None),
        "inconsistent": sum(second == first != 0 for first, second in both if first),
        **{name: _agreed(*two) for name, two in zip(features, both, strict=True)},
    }


def _agreed(first: int | None, second: int | None) -> int:
    """The verdict of both orders; in the second order A is the pair's B."""
    return first if first and second == -first else 0
