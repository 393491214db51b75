"""Conversations with an assistant, item by item and turn by turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

import heliostat as hs
from heliostat_tasks.sycophancy import rates
from heliostat_tasks.sycophancy.grading import Judge
from heliostat_tasks.sycophancy.items import Item, select
from heliostat_tasks.sycophancy.probes import PROBES, Probe
from heliostat_tasks.sycophancy.scoring import PREFIXES, Scorer
from heliostat_tasks.sycophancy.turns import KINDS, Dialogue, Turn
from heliostat_tasks.sycophancy.validate import check_fields

if TYPE_CHECKING:
    import xarray as xr

    from heliostat.assistants import Assistant


HELPFUL = "You are a helpful assistant."

Scoring = Literal["none", "local", "endpoint"] | hs.Code
NAMED = ("none", "local", "endpoint")
"""Who may score replies, beside a function of one's own."""

SCORED = ("condition", "epoch", "scorer")
SCORES = {
    "score": hs.Var(SCORED, about="score of the reply"),
    "unscored": hs.Var(SCORED, "str", about="why there is none"),
}
"""What is emitted beside the rest, where somebody scores."""


class Clients(NamedTuple):
    """What a worker prepares once: who is asked, who judges, and who scores."""

    assistant: Assistant
    judge: Judge
    scorer: Scorer | None
    servers: contextlib.ExitStack  # servers that live as long


@dataclass(frozen=True)
class Sycophancy(hs.Task):
    """Does an assistant say what is true, or what its user wants to hear?

    An item is a replica, a turn of its conversations a step; conditions and epochs of
    an item are dims of its row, since they are compared with each other.

        rate = Σ_items hits / Σ_items chances,   95 % intervals by resampling items

    Example:
        >>> Sycophancy(probe="answer", limit=8).replicas
        8

    Reference: Sharma et al., arXiv:2310.13548, section 3.
    """

    probe: Literal["feedback", "are_you_sure", "answer", "mimicry"] = "are_you_sure"
    assistant: Literal["scripted", "local", "endpoint"] = "scripted"  # who is asked
    url: str = ""  # of an endpoint, without its last part: https://host/v1
    model: str = ""  # of an endpoint; its key is in $HELIOSTAT_API_KEY
    wire: Literal["openai", "anthropic"] = "openai"  # how endpoints speak
    judge: Literal["rules", "local", "endpoint"] = "rules"  # who grades
    judge_url: str = ""  # of a judge that is an endpoint
    judge_model: str = ""  # its key is in $HELIOSTAT_JUDGE_KEY
    judge_temperature: float | None = 0.0  # of judges and scorers that are endpoints
    scorer: Scoring = "none"  # who chooses the best; or a function (prompt, reply)
    scorer_url: str = ""  # of a scorer that is an endpoint
    scorer_model: str = ""  # its key is in $HELIOSTAT_SCORER_KEY
    items: hs.File | None = None  # a published file; default our own
    limit: int = 16  # items at most, as many of each data set
    epochs: int = 1  # conversations of each item and condition
    temperature: float | None = 0.0  # of replies; none: the server's own
    max_tokens: int = 48  # of a reply
    system: str = HELPFUL  # what it is told first; empty: nothing
    prefill: bool = True  # whether a reply may be begun for it, as published files do
    planted: str = ""  # of the scripted assistant: name=probability,...
    timeout: float = 120.0  # s, of one attempt to get a reply from an endpoint
    price: tuple[float, ...] = (0.0, 0.0)  # of a million tokens, read and said
    cap: float = 0.0  # money that runs with these fields may spend; 0: no limit

    task_version = 5
    emits = {
        "id": hs.Var((), "str", about="which item, in any run"),
        "dataset": hs.Var((), "str", about="where the item is from"),
        "said": hs.Var(("condition",), "str", about="what was said: [role, text], …"),
        "reply": hs.Var(("condition", "epoch"), "str", about="what was said"),
        "grade": hs.Var(("condition", "epoch"), "str", about="what that is"),
        "failure": hs.Var(("condition", "epoch"), "str", about="why there is none"),
        "finish": hs.Var(("condition", "epoch"), "str", about="how a reply ended"),
        "tokens": hs.Var(
            ("condition", "epoch", "kind"),
            "int32",
            about="read, said; the most it can be where the server does not count",
        ),
    }
    traced, stride, width = False, 1, 8
    replica_dim, step_dim = "item", "turn"

    def __post_init__(self) -> None:
        if self.scorer not in NAMED:  # as words of Python come: a path
            object.__setattr__(self, "scorer", hs.Code(self.scorer))
        check_fields(self)
        if self.scorers:
            object.__setattr__(self, "emits", {**self.emits, **SCORES})

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        from heliostat_tasks.sycophancy import verbs

        return verbs.VERBS

    @property
    def finds(self) -> tuple[str, ...]:  # pyright: ignore
        return (*rates.rate_names(self.scheme), *["unscored"][: len(self.scorers)])

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:  # pyright: ignore
        named = {"condition": self.scheme.conditions, "kind": KINDS}
        return named | ({"scorer": self.scorers} if self.scorers else {})

    @property
    def scorers(self) -> tuple[str, ...]:
        """Names of the scores that a reply gets."""
        if isinstance(self.scorer, hs.Code):
            return (self.scorer.name,)
        return () if self.scorer == "none" else tuple(PREFIXES)

    @property
    def replicas(self) -> int:
        return len(self.selected_items)

    @property
    def steps(self) -> int:
        return self.scheme.turns

    @property
    def scheme(self) -> Probe:
        return PROBES[self.probe]

    @cached_property
    def selected_items(self) -> list[Item]:
        """The items, one data set after another."""
        probe = self.scheme
        known = probe.load_items(self.items) if self.items else probe.shipped_items()
        if not known:
            raise hs.RequestError(f"items {self.items}: there are none")
        return select(known, self.limit)

    def prepare(self) -> Clients:
        from heliostat_tasks.sycophancy.clients import build_clients

        return build_clients(self)

    def init(self, key: Any, replica: int, data: Clients) -> dict[str, Any]:
        """No conversation has begun."""
        count = len(self.scheme.conditions) * self.epochs
        none = {"said": [], "failure": ""}
        return {"item": int(replica), "turn": 0, "talks": [none] * count}

    async def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Any, state: dict[str, Any], data: Clients
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The next turn of all conversations of an item, all at once."""
        number = min(state["turn"] + 1, self.scheme.turns)
        turn = Turn(self, self.selected_items[state["item"]], number, _seed(key))
        talks = [Dialogue(**talk) for talk in state["talks"]]
        talks = await turn.reply_all(data.assistant, talks)
        verdicts = await turn.grade_all(data.judge, talks)
        new = {"turn": number, "talks": [talk.state for talk in talks]}
        scores = await turn.score_all(data.scorer, talks)
        return state | new, turn.row(talks, verdicts) | scores

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Each rate, its error being half the width of the 95 % interval; and how many
        conversations failed, with the commonest reason, and verdicts were unparsed.
        Before the first turn has ended, nothing is known."""
        if not rows.sizes["turn"]:
            return {}
        found = rates.measure_rates(self.scheme, rows)
        finite = {n: one for n, one in found.items() if np.isfinite(one.value)}
        told = {n: hs.Estimate(one.value, one.half_width) for n, one in finite.items()}
        counts = rates.count_lost(rates.grades_of(rows))
        lost = {n: hs.Estimate(count) for n, count in counts.items()}
        if lost["failed"].value:
            why = rates.commonest_reason(rows["failure"])
            lost["failed"] = lost["failed"]._replace(source=why)
        if "score" in rows:
            lost["unscored"] = rates.count_unscored(rows)
        return told | lost


def _seed(key: Any) -> int:
    """31 bits of a cell's randomness: servers want a small number."""
    import jax

    return int(np.asarray(jax.random.key_data(key))[-1]) & 0x7FFFFFFF
