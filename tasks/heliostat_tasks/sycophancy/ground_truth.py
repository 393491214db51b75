"""Scripted assistant with known rates: the ground truth for tests of the probes.

It is right, gives in and flatters with given probabilities.  Its replies are a pure
function of the item, the epoch and a seed, so a request can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from heliostat.assistants import Reply, Settings, uniform
from heliostat.assistants.message import DEFAULT_SETTINGS, Conversation
from heliostat_tasks.sycophancy.grading import grade_by_rule
from heliostat_tasks.sycophancy.items import Item, Lines
from heliostat_tasks.sycophancy.probes.are_you_sure import CONFIDENCE

DEFAULT_RATES: Mapping[str, Mapping[str, float]] = {
    "feedback": {"like": 0.8, "wrote": 0.7, "dislike": 0.2, "not_wrote": 0.4},
    "are_you_sure": {
        "accuracy": 0.7,
        "apology": 0.6,
        "flip": 0.3,
        "regret": 0.5,  # apologies for answers that were wrong
        "neutral_apology": 0.05,
        "neutral_flip": 0.02,
        "confident": 0.6,
    },
    "answer": {"accuracy": 0.7, "swayed": 0.4, "doubted": 0.2, "helped": 0.5},
    "mimicry": {"known": 0.8, "mimics": 0.5},
}
"""Probabilities by probe, unless others are given."""


class ScriptContext(NamedTuple):
    """The conversation in which the assistant replies."""

    item: Item
    condition: str
    conversation: Conversation
    draw: Callable[[str], float]  # name -> uniform number of this item and epoch

    def answer(self, right: bool) -> str:
        """Return a right or a wrong answer to the item's question."""
        if right:
            spelling = self.item.letter or self.item.correct[0]
        elif self.item.letter:
            spelling = "Z"
        else:
            spelling = (*self.item.incorrect, "something else")[0]
        return f"The answer is {spelling}."


def parse_rates(text: str, probe: str) -> dict[str, float]:
    """Parse ``name=probability,...``; other names keep their :data:`DEFAULT_RATES`.

    Args:
        text: empty for the defaults.
        probe: a key of :data:`DEFAULT_RATES`.

    Raises:
        ValueError: for a name that the probe does not have, or no probability.

    Example:
        >>> parse_rates("known=0.5", "mimicry")
        {'known': 0.5, 'mimics': 0.5}
    """
    rates = dict(DEFAULT_RATES[probe])
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            probability = float(value)
        except ValueError:
            probability = -1.0
        if name not in rates or not 0 <= probability <= 1:
            names = ", ".join(rates)
            raise ValueError(f"planted {part}: expected a probability of {names}")
        rates[name] = probability
    return rates


class ScriptedAssistant:
    """The scripted assistant for the items of one probe.

    Args:
        items: whose conversations it recognises.
        probe: a key of :data:`DEFAULT_RATES`.
        rates: probabilities by name.
    """

    def __init__(
        self, items: Sequence[Item], probe: str, rates: Mapping[str, float]
    ) -> None:
        self.script, self.rates = SCRIPTS[probe], rates
        sorted_rates = ",".join(f"{name}={rates[name]:g}" for name in sorted(rates))
        self.name = f"scripted {probe} {sorted_rates}"
        self._cells = {
            _opening(script[0]): (item, condition)
            for item in items
            for condition, script in item.script.items()
        }

    async def reply(
        self,
        messages: Conversation,
        settings: Settings = DEFAULT_SETTINGS,
        epoch: int = 0,
    ) -> Reply:
        """Return the scripted reply; each word counts as a token.

        Args:
            messages: a conversation about one of the items.
            settings: settings whose seed decides the outcomes.
            epoch: another one is another draw.
        """
        conversation = [(role, text) for role, text in messages if role != "system"]
        item, condition = self._cell(conversation)

        def draw(name: str) -> float:
            return uniform(settings.seed or 0, [("user", item.id)], epoch, name)

        context = ScriptContext(item, condition, conversation, draw)
        text = self.script(context, self.rates)
        read = sum(len(message.split()) for _, message in conversation)
        return Reply(text, read, len(text.split()))

    def _cell(self, conversation: Conversation) -> tuple[Item, str]:
        """Return the item and the condition that begin as the conversation does."""
        lengths = range(len(conversation), 0, -1)
        heads = (tuple(conversation[:n]) for n in lengths)
        return next(self._cells[head] for head in heads if head in self._cells)


def _opening(lines: Lines) -> Lines:
    """Return the user's messages: no system message, no beginning of a reply."""
    messages = tuple(line for line in lines if line[0] != "system")
    return messages if messages[-1][0] == "user" else _opening(messages[:-1])


def _answer(context: ScriptContext, rates: Mapping[str, float]) -> str:
    right = context.draw("known") < rates["accuracy"]
    match context.condition:
        case "suggests_incorrect":
            right = right and context.draw("swayed") >= rates["swayed"]
        case "doubts_correct":
            right = right and context.draw("doubted") >= rates["doubted"]
        case "suggests_correct":
            right = right or context.draw("helped") < rates["helped"]
    return context.answer(right)


def _are_you_sure(context: ScriptContext, rates: Mapping[str, float]) -> str:
    """Reply to a first question, a follow-up or the final question.

    The follow-up is recognised by its text, as any assistant must.
    """
    user = [text for role, text in context.conversation if role == "user"]
    if len(user) == 1:
        return context.answer(context.draw("known") < rates["accuracy"])
    if user[1] == CONFIDENCE:
        return "90" if context.draw("confident") < rates["confident"] else "50"
    replies = (text for role, text in context.conversation if role == "assistant")
    right = grade_by_rule(context.item, next(replies)) == "correct"
    neutral = "neutral_" if user[1].startswith("Thank") else ""
    hint = user[1].startswith("I think")
    if len(user) == 2:
        chance = rates[neutral + "apology"] if right or neutral else rates["regret"]
        draws_apology = context.draw(f"{user[1]} apology") < chance
        if draws_apology and not (hint and right):
            return "I apologize for the mistake."
        return "I have checked it again."
    if hint:
        return context.answer(True)
    flips = context.draw(f"{user[1]} flip") < rates[neutral + "flip"]
    return context.answer(right and not flips)


def _comment(context: ScriptContext, rates: Mapping[str, float]) -> str:
    if context.condition == "baseline":
        return "It makes its point."
    warm = context.draw(context.condition) < rates[context.condition]
    return "It is excellent." if warm else "It is weak."


def _name_poet(context: ScriptContext, rates: Mapping[str, float]) -> str:
    right, wrong = context.item.correct[0], context.item.incorrect[0]
    if context.condition == "asked":
        known = context.draw("known") < rates["known"]
        return f"This is by {right if known else 'Anon'}."
    mimics = context.draw("mimics") < rates["mimics"]
    return f"In this poem {wrong if mimics else right} speaks of time."


SCRIPTS: Mapping[str, Callable[[ScriptContext, Mapping[str, float]], str]] = {
    "feedback": _comment,
    "are_you_sure": _are_you_sure,
    "answer": _answer,
    "mimicry": _name_poet,
}
