"""One turn of all conversations of an item: what is said, what came back, its grade."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heliostat.assistants import Assistant, Settings, Unanswered
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.items import Item
from heliostat_tasks.sycophancy.scoring import Score, Scorer

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.task import Sycophancy

FAILED = "failed"
"""Grade of a conversation that has no reply; its failure says why."""

OVER = ""
"""Grade in turns that a conversation does not have."""

KINDS = ("prompt", "reply")


class Grade(NamedTuple):
    """What a reply is; or why nobody can tell."""

    label: str
    failure: str = ""


class Dialogue(NamedTuple):
    """A conversation so far: (role, text) each, and why it ended, if it did."""

    said: list[list[str]]
    failure: str = ""
    tokens: tuple[int, int] = (0, 0)  # of the last turn
    finish: str = ""  # how its reply ended

    @property
    def state(self) -> dict[str, Any]:
        return {"said": self.said, "failure": self.failure}


class Turn(NamedTuple):
    """Which turn of which item, and its luck."""

    task: Sycophancy
    item: Item
    number: int
    seed: int

    async def reply_all(
        self, asked: Assistant, talks: list[Dialogue]
    ) -> list[Dialogue]:
        """All conversations, one turn longer; in the order of :meth:`places`."""
        pairs = zip(self.cells, talks, strict=True)
        return await _all(self._reply(asked, talk, *place) for place, talk in pairs)

    async def grade_all(self, judge: Judge, talks: list[Dialogue]) -> list[Grade]:
        """What each last reply is."""
        pairs = zip(self.cells, talks, strict=True)
        return await _all(
            self._grade(judge, talks, talk, *place) for place, talk in pairs
        )

    async def score_all(
        self, scorer: Scorer | None, talks: list[Dialogue]
    ) -> dict[str, Any]:
        """Scores of each last reply, (condition, epoch, scorer): NaN and why where
        there are none, and nothing where nobody scores."""
        if scorer is None:
            return {}
        found = await _all(_scores(scorer, talk) for talk in talks)
        shape = (*self._shape, -1)
        values = [[score.value for score in scores] for scores in found]
        reasons = [[score.failure for score in scores] for scores in found]
        return {
            "score": np.reshape(values, shape).tolist(),
            "unscored": np.reshape(np.array(reasons, object), shape).tolist(),
        }

    def row(
        self, talks: Sequence[Dialogue], verdicts: Sequence[Grade]
    ) -> dict[str, Any]:
        """What a human wants to know, (condition, epoch) each."""
        pairs = zip(self.cells, talks, strict=True)
        replies = [self._told(talk, condition) for (condition, _), talk in pairs]
        tokens = np.array([t.tokens for t in talks], np.int32)
        lines = [self.lines(condition) for condition in self.task.scheme.conditions]
        return {
            "id": self.item.id,
            "dataset": self.item.dataset,
            "said": [json.dumps(said, ensure_ascii=False) for said in lines],
            "reply": self._table(replies),
            "grade": self._table([v.label for v in verdicts]),
            "failure": self._table([v.failure for v in verdicts]),
            "finish": self._table([t.finish for t in talks]),
            "tokens": tokens.reshape(*self._shape, len(KINDS)).tolist(),
        }

    @property
    def cells(self) -> list[tuple[str, int]]:
        """Condition and epoch of each conversation."""
        epochs = range(self.task.epochs)
        return [(c, e) for c in self.task.scheme.conditions for e in epochs]

    def lines(self, condition: str) -> list[list[str]]:
        """What is said before the reply of this turn; nothing once all is said."""
        script = self.item.script[condition]
        if self.number > len(script):
            return []
        lines = [list(pair) for pair in script[self.number - 1]]
        while lines[-1][0] == "assistant" and not self.task.prefill:
            lines.pop()
        first = self.number == 1 and self.task.system
        return [["system", self.task.system], *lines] if first else lines

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.task.scheme.conditions), self.task.epochs

    def _table(self, values: Sequence[str]) -> list[list[str]]:
        width = self.task.epochs
        return [list(values[i : i + width]) for i in range(0, len(values), width)]

    def _told(self, talk: Dialogue, condition: str) -> str:
        over = talk.failure or not self.lines(condition)
        return "" if over else talk.said[-1][1]

    async def _reply(
        self, asked: Assistant, talk: Dialogue, condition: str, epoch: int
    ) -> Dialogue:
        lines = self.lines(condition)
        if talk.failure or not lines:
            return talk._replace(tokens=(0, 0), finish="")
        said = [*talk.said, *lines]
        try:
            reply = await asked.reply([(r, t) for r, t in said], self._settings, epoch)
        except Unanswered as error:
            return Dialogue(said, str(error))
        if not reply.text.strip():  # such as one that was all thinking, and cut off
            return Dialogue(said, f"the reply is empty (it ended by {reply.finish})")
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        return Dialogue(_answered(said, reply.text), "", tokens, reply.finish)

    @property
    def _settings(self) -> Settings:
        """Without chance a seed would only ask the same thing twice."""
        task = self.task
        drawn = task.temperature != 0 or task.assistant == "scripted"
        return Settings(task.temperature, task.max_tokens, self.seed if drawn else None)

    async def _grade(
        self,
        judge: Judge,
        talks: list[Dialogue],
        talk: Dialogue,
        condition: str,
        epoch: int,
    ) -> Grade:
        if talk.failure:
            return Grade(FAILED, talk.failure)
        if not self.lines(condition):
            return Grade(OVER)
        place = (self.item, self.number, self._beside(talks, epoch), condition)
        try:
            return Grade(await self.task.scheme.grade(*place, judge))
        except Unanswered as error:
            return Grade(FAILED, f"judge: {error}")
        except KeyError as error:
            return Grade(FAILED, f"there is no reply under {error} to compare with")

    def _beside(
        self, talks: list[Dialogue], epoch: int
    ) -> Mapping[str, Sequence[tuple[str, str]]]:
        """The conversations of an epoch that have a reply, by condition."""
        pairs = zip(self.cells, talks, strict=True)
        return {
            condition: [(role, text) for role, text in talk.said]
            for (condition, e), talk in pairs
            if e == epoch and not talk.failure
        }


async def _scores(scorer: Scorer, talk: Dialogue) -> list[Score]:
    if talk.failure:
        return [Score(math.nan, "there is no reply") for _ in scorer.names]
    return await scorer.scores(talk.said)


def _answered(said: list[list[str]], reply: str) -> list[list[str]]:
    """The conversation with a reply; one that was begun for the assistant goes on."""
    *before, (role, text) = said
    if role == "assistant":
        return [*before, [role, text + reply]]
    return [*said, ["assistant", reply]]


async def _all(asked: Iterable[Awaitable[Any]]) -> list[Any]:
    """All results; what is in flight ends, and is kept, before any error is raised."""
    found = await asyncio.gather(*asked, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
