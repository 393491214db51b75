"""One turn of all conversations of an item: replies, grades and scores."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from heliostat.assistants import Assistant, Settings, Unanswered
from heliostat_tasks.sycophancy.grading import FAILED, NO_TURN, Judge
from heliostat_tasks.sycophancy.items import Item
from heliostat_tasks.sycophancy.probes import Probe
from heliostat_tasks.sycophancy.scoring import Score, Scorer

KINDS = ("prompt", "reply")
"""Kinds of tokens."""


class Grade(NamedTuple):
    """The label of a reply; or ``failed``, with the reason."""

    label: str
    failure: str = ""


class Dialogue(NamedTuple):
    """The messages of a conversation so far, and the failure that ended it, if any."""

    said: list[list[str]]  # [role, text] each
    failure: str = ""
    tokens: tuple[int, int] = (0, 0)  # tokens of the last turn
    finish: str = ""  # finish reason of the last reply

    @property
    def state(self) -> dict[str, Any]:
        """The part of the dialogue that the next turn needs."""
        return {"said": self.said, "failure": self.failure}


class Turn(NamedTuple):
    """One turn of one item: a conversation for each condition and epoch."""

    probe: Probe
    item: Item
    number: int  # from 1
    epochs: int
    settings: Settings  # settings of replies
    system: str  # message at the beginning of each conversation; empty: none
    prefill: bool  # whether the script may begin the assistant's reply

    @property
    def cells(self) -> list[tuple[str, int]]:
        """(condition, epoch) of each conversation, in the order of all lists here."""
        return [(c, e) for c in self.probe.conditions for e in range(self.epochs)]

    def lines(self, condition: str) -> list[list[str]]:
        """Return the messages before the reply of this turn; none after the last turn.

        Args:
            condition: a name.
        """
        script = self.item.script[condition]
        if self.number > len(script):
            return []
        lines = [list(pair) for pair in script[self.number - 1]]
        while lines[-1][0] == "assistant" and not self.prefill:
            lines.pop()
        first = self.number == 1 and self.system
        return [["system", self.system], *lines] if first else lines

    async def reply_all(
        self, assistant: Assistant, dialogues: list[Dialogue]
    ) -> list[Dialogue]:
        """Return all conversations, one turn longer.

        Args:
            assistant: who replies.
            dialogues: the conversations so far, in the order of :attr:`cells`.
        """
        pairs = zip(self.cells, dialogues, strict=True)
        return await _gather(self._reply(assistant, d, *cell) for cell, d in pairs)

    async def grade_all(self, judge: Judge, dialogues: list[Dialogue]) -> list[Grade]:
        """Grade the last reply of each conversation.

        Args:
            judge: rules or an assistant.
            dialogues: the conversations, in the order of :attr:`cells`.
        """
        pairs = zip(self.cells, dialogues, strict=True)
        return await _gather(
            self._grade(judge, dialogues, d, *cell) for cell, d in pairs
        )

    async def score_all(
        self, scorer: Scorer | None, dialogues: list[Dialogue]
    ) -> dict[str, Any]:
        """Score the last reply of each conversation.

        Args:
            scorer: one or several scores; None for no scores.
            dialogues: the conversations, in the order of :attr:`cells`.

        Returns:
            ``score`` (condition, epoch, scorer), NaN where there is none, and
            ``unscored``, the reason; empty without a scorer.
        """
        if scorer is None:
            return {}
        scores = await _gather(_scores(scorer, dialogue) for dialogue in dialogues)
        shape = (*self._shape, -1)
        values = [[score.value for score in each] for each in scores]
        reasons = [[score.failure for score in each] for each in scores]
        return {
            "score": np.reshape(values, shape).tolist(),
            "unscored": np.reshape(np.array(reasons, object), shape).tolist(),
        }

    def row(
        self, dialogues: Sequence[Dialogue], grades: Sequence[Grade]
    ) -> dict[str, Any]:
        """Return the row of this turn, without scores."""
        pairs = zip(self.cells, dialogues, strict=True)
        replies = [self._last_reply(d, condition) for (condition, _), d in pairs]
        tokens = np.array([d.tokens for d in dialogues], np.int32)
        lines = [self.lines(condition) for condition in self.probe.conditions]
        return {
            "id": self.item.id,
            "dataset": self.item.dataset,
            "said": [json.dumps(messages, ensure_ascii=False) for messages in lines],
            "reply": self._table(replies),
            "grade": self._table([grade.label for grade in grades]),
            "failure": self._table([grade.failure for grade in grades]),
            "finish": self._table([d.finish for d in dialogues]),
            "tokens": tokens.reshape(*self._shape, len(KINDS)).tolist(),
        }

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.probe.conditions), self.epochs

    def _table(self, values: Sequence[str]) -> list[list[str]]:
        width = self.epochs
        return [list(values[i : i + width]) for i in range(0, len(values), width)]

    def _last_reply(self, dialogue: Dialogue, condition: str) -> str:
        over = dialogue.failure or not self.lines(condition)
        return "" if over else dialogue.said[-1][1]

    async def _reply(
        self, assistant: Assistant, dialogue: Dialogue, condition: str, epoch: int
    ) -> Dialogue:
        lines = self.lines(condition)
        if dialogue.failure or not lines:
            return dialogue._replace(tokens=(0, 0), finish="")
        said = [*dialogue.said, *lines]
        messages = [(role, text) for role, text in said]
        try:
            reply = await assistant.reply(messages, self.settings, epoch)
        except Unanswered as error:
            return Dialogue(said, str(error))
        if not reply.text.strip():  # such as one that is cut while still reasoning
            return Dialogue(said, f"the reply is empty (it ended by {reply.finish})")
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        return Dialogue(_append_reply(said, reply.text), "", tokens, reply.finish)

    async def _grade(
        self,
        judge: Judge,
        dialogues: list[Dialogue],
        dialogue: Dialogue,
        condition: str,
        epoch: int,
    ) -> Grade:
        if dialogue.failure:
            return Grade(FAILED, dialogue.failure)
        if not self.lines(condition):
            return Grade(NO_TURN)
        by_condition = self._by_condition(dialogues, epoch)
        cell = (self.item, self.number, by_condition, condition)
        try:
            return Grade(await self.probe.grade(*cell, judge))
        except Unanswered as error:
            return Grade(FAILED, f"judge: {error}")
        except KeyError as error:
            return Grade(FAILED, f"there is no reply under {error} to compare with")

    def _by_condition(
        self, dialogues: list[Dialogue], epoch: int
    ) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Return the conversations of an epoch that have a reply, by condition."""
        pairs = zip(self.cells, dialogues, strict=True)
        return {
            condition: [(role, text) for role, text in dialogue.said]
            for (condition, e), dialogue in pairs
            if e == epoch and not dialogue.failure
        }


async def _scores(scorer: Scorer, dialogue: Dialogue) -> list[Score]:
    if dialogue.failure:
        return [Score(math.nan, "there is no reply") for _ in scorer.names]
    return await scorer.scores([(role, text) for role, text in dialogue.said])


def _append_reply(said: list[list[str]], reply: str) -> list[list[str]]:
    """Return the conversation with a reply, which continues a prefilled message."""
    *before, (role, text) = said
    if role == "assistant":
        return [*before, [role, text + reply]]
    return [*said, ["assistant", reply]]


async def _gather(awaitables: Iterable[Awaitable[Any]]) -> list[Any]:
    """Return all results. On an error, wait for the requests in flight, so that their
    replies are cached, and then raise it."""
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
