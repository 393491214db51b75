"""One turn of all conversations of an item: what is said, what came back, its grade."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heliostat.assistants import Assistant, Settings, Unanswered
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.items import Item

if TYPE_CHECKING:
    from heliostat_tasks.sycophancy.task import Sycophancy

FAILED = "failed"
"""Grade of a conversation that has no reply; its failure says why."""

KINDS = ("prompt", "reply")


class Talk(NamedTuple):
    """A conversation so far: (role, text) each, and why it ended, if it did."""

    said: list[list[str]]
    failure: str = ""
    tokens: tuple[int, int] = (0, 0)  # of the last turn

    @property
    def state(self) -> dict[str, Any]:
        return {"said": self.said, "failure": self.failure}


class Turn(NamedTuple):
    """Which turn of which item, and its luck."""

    task: Sycophancy
    item: Item
    number: int
    seed: int

    async def taken(self, asked: Assistant, talks: list[Talk]) -> list[Talk]:
        """All conversations, one turn longer; in the order of :meth:`places`."""
        pairs = zip(self.places, talks, strict=True)
        return await asyncio.gather(
            *(self._reply(asked, talk, *place) for place, talk in pairs)
        )

    async def graded(self, judge: Judge, talks: list[Talk]) -> list[str]:
        """What each last reply is."""
        pairs = zip(self.places, talks, strict=True)
        return await asyncio.gather(
            *(self._grade(judge, talks, talk, *place) for place, talk in pairs)
        )

    def row(self, talks: Sequence[Talk], grades: Sequence[str]) -> dict[str, Any]:
        """What a human wants to know, (condition, epoch) each."""
        replies = ["" if t.failure else t.said[-1][1] for t in talks]
        tokens = np.array([t.tokens for t in talks], np.int32)
        return {
            "reply": self._table(replies),
            "grade": self._table(grades),
            "failure": self._table([t.failure for t in talks]),
            "tokens": tokens.reshape(*self._shape, len(KINDS)).tolist(),
        }

    @property
    def places(self) -> list[tuple[str, int]]:
        """Condition and epoch of each conversation."""
        epochs = range(self.task.epochs)
        return [(c, e) for c in self.task.script.conditions for e in epochs]

    @property
    def _shape(self) -> tuple[int, int]:
        return len(self.task.script.conditions), self.task.epochs

    def _table(self, values: Sequence[str]) -> list[list[str]]:
        width = self.task.epochs
        return [list(values[i : i + width]) for i in range(0, len(values), width)]

    async def _reply(
        self, asked: Assistant, talk: Talk, condition: str, epoch: int
    ) -> Talk:
        if talk.failure:
            return talk._replace(tokens=(0, 0))
        said = [*talk.said, *self._says(condition)]
        try:
            reply = await asked.reply([(r, t) for r, t in said], self._settings, epoch)
        except Unanswered as error:
            return Talk(said, str(error))
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        return Talk([*said, ["assistant", reply.text]], "", tokens)

    def _says(self, condition: str) -> list[list[str]]:
        if self.number > 1:
            says = self.task.script.says(self.item, condition, self.number)
            return [["user", says]]
        system = [["system", self.task.system]] if self.task.system else []
        return [*system, *(list(pair) for pair in self.item.openings[condition])]

    @property
    def _settings(self) -> Settings:
        """Without chance a seed would only ask the same thing twice."""
        task = self.task
        drawn = task.temperature > 0 or task.assistant == "scripted"
        return Settings(task.temperature, task.max_tokens, self.seed if drawn else None)

    async def _grade(
        self, judge: Judge, talks: list[Talk], talk: Talk, condition: str, epoch: int
    ) -> str:
        beside = self._beside(talks, epoch)
        if talk.failure or condition not in beside:
            return FAILED
        try:
            probe = self.task.script
            return await probe.grade(self.item, self.number, beside, condition, judge)
        except (Unanswered, KeyError):  # the judge's, or nothing to compare with
            return FAILED

    def _beside(
        self, talks: list[Talk], epoch: int
    ) -> Mapping[str, Sequence[tuple[str, str]]]:
        """The conversations of an epoch that have a reply, by condition."""
        pairs = zip(self.places, talks, strict=True)
        return {
            condition: [(role, text) for role, text in talk.said]
            for (condition, e), talk in pairs
            if e == epoch and not talk.failure
        }
