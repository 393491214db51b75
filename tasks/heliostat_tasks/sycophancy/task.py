"""Sycophancy: conversations with an assistant, item by item and turn by turn."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import heliostat as hs
from heliostat.assistants import Assistant, Budget, Prices, Settings
from heliostat_tasks.sycophancy import rates, validate
from heliostat_tasks.sycophancy.clients import (
    ASSISTANT_KEY,
    Clients,
    Models,
    build_judge,
    build_scorer,
)
from heliostat_tasks.sycophancy.grades import grades_of
from heliostat_tasks.sycophancy.ground_truth import ScriptedAssistant, parse_rates
from heliostat_tasks.sycophancy.items import Item, select
from heliostat_tasks.sycophancy.probes import PROBES, Probe
from heliostat_tasks.sycophancy.scoring import PREFIXES
from heliostat_tasks.sycophancy.turns import KINDS, Dialogue, Turn

if TYPE_CHECKING:
    import xarray as xr


HELPFUL = "You are a helpful assistant."

ProbeName = Literal["feedback", "are_you_sure", "answer", "mimicry"]
Scoring = Literal["none", "local", "endpoint"] | hs.Code
SCORERS = ("none", "local", "endpoint")
"""Names of scorers; any other value is a function, FILE.py:NAME."""

SCORED = ("condition", "epoch", "scorer")
SCORES = {
    "score": hs.Var(SCORED, about="score of the reply"),
    "unscored": hs.Var(SCORED, "str", about="why there is none"),
}
"""Additional variables of a row, if replies are scored."""


@dataclass(frozen=True)
class Sycophancy(hs.Task):
    """Does an assistant say what is true, or what its user wants to hear?

    An item is a replica, and a turn of its conversations is a step.  Conditions and
    epochs of an item are dims of its row, because they are compared with each other.

        rate = Σ_items hits / Σ_items opportunities,  95 % intervals by resampling items

    Example:
        >>> Sycophancy(probe="answer", limit=8).replicas
        8

    Reference: Sharma et al., arXiv:2310.13548, section 3.
    """

    probe: ProbeName = "are_you_sure"  # experiment: conversations and rates
    assistant: Literal["scripted", "local", "endpoint"] = "scripted"  # probed model
    url: str = ""  # address of an endpoint, without its last part: https://host/v1
    model: str = ""  # model of an endpoint; its key is in $HELIOSTAT_API_KEY
    wire: Literal["openai", "anthropic"] = "openai"  # chat API of endpoints
    judge: Literal["rules", "local", "endpoint"] = "rules"  # grader of replies
    judge_url: str = ""  # address of a judge that is an endpoint
    judge_model: str = ""  # model of a judge; its key is in $HELIOSTAT_JUDGE_KEY
    judge_temperature: float | None = 0.0  # temperature of judges and scorers
    scorer: Scoring = "none"  # scorer for the best of N, or a function (prompt, reply)
    scorer_url: str = ""  # address of a scorer that is an endpoint
    scorer_model: str = ""  # model of a scorer; its key is in $HELIOSTAT_SCORER_KEY
    items: hs.File | None = None  # a published file; default our own sets
    limit: int = 16  # largest number of items, in equal parts from each data set
    epochs: int = 1  # conversations of each item and condition
    temperature: float | None = 0.0  # temperature of replies; none: the server's own
    max_tokens: int = 48  # largest number of tokens of a reply
    system: str = HELPFUL  # message before each conversation; empty: none
    prefill: bool = True  # published files may begin the assistant's reply
    planted: str = ""  # rates of the scripted assistant: name=probability,...
    timeout: float = 120.0  # timeout of one attempt to get a reply from an endpoint, s
    price: tuple[float, ...] = (0.0, 0.0)  # price of a million tokens: prompt, reply
    cap: float = 0.0  # money that runs with these fields may spend; 0: no limit

    task_version = 5
    emits = {
        "id": hs.Var((), "str", about="hash of the item, the same in every run"),
        "dataset": hs.Var((), "str", about="data set of the item"),
        "said": hs.Var(
            ("condition",), "str", about="messages before it: [role, text], …"
        ),
        "reply": hs.Var(("condition", "epoch"), "str", about="text of the reply"),
        "grade": hs.Var(("condition", "epoch"), "str", about="grade of the reply"),
        "failure": hs.Var(("condition", "epoch"), "str", about="why there is no reply"),
        "finish": hs.Var(("condition", "epoch"), "str", about="why the reply ended"),
        "tokens": hs.Var(
            ("condition", "epoch", "kind"),
            "int32",
            about="tokens; the worst case if the server does not count",
        ),
    }
    traced, stride, width = False, 1, 8
    replica_dim, step_dim = "item", "turn"

    def __post_init__(self) -> None:
        if self.scorer not in SCORERS:  # given as a text: FILE.py:NAME
            object.__setattr__(self, "scorer", hs.Code(self.scorer))
        self._check()
        if self.scorers:
            object.__setattr__(self, "emits", {**self.emits, **SCORES})

    def _check(self) -> None:
        fields = vars(self)
        validate.check_numbers(fields)
        parse_rates(self.planted, self.probe)
        hs.check_used(self, validate.uses(fields))
        validate.check_endpoints(fields)
        if self.scorer != "none":
            validate.check_samples(fields, self.design.turns)

    @classmethod
    def verbs(cls) -> Mapping[str, Callable[..., hs.Answer]]:
        """Return the commands ``heliostat sycophancy VERB``."""
        from heliostat_tasks.sycophancy import verbs

        return verbs.VERBS

    @property
    def finds(self) -> tuple[str, ...]:  # pyright: ignore
        """Names of the headline's estimates."""
        return (*rates.rate_names(self.design), *["unscored"][: len(self.scorers)])

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:  # pyright: ignore
        """Names of conditions, kinds of tokens, and scorers."""
        names = {"condition": self.design.conditions, "kind": KINDS}
        return names | ({"scorer": self.scorers} if self.scorers else {})

    @property
    def asks(self) -> tuple[str, ...]:  # pyright: ignore
        """Endpoints, each with its model."""
        roles = (
            (self.assistant, self.model, self.url),
            (self.judge, self.judge_model, self.judge_url),
            (self.scorer, self.scorer_model, self.scorer_url),
        )
        endpoints = [f"{m} at {url}" for kind, m, url in roles if kind == "endpoint"]
        return tuple(dict.fromkeys(endpoints))

    @property
    def scorers(self) -> tuple[str, ...]:
        """Names of the scores of a reply."""
        if isinstance(self.scorer, hs.Code):
            return (self.scorer.name,)
        return () if self.scorer == "none" else tuple(PREFIXES)

    @property
    def replicas(self) -> int:
        """Number of items."""
        return len(self.selected_items)

    @property
    def steps(self) -> int:
        """Number of turns."""
        return self.design.turns

    @property
    def design(self) -> Probe:
        """The probe: its conditions, items, grades and rates."""
        return PROBES[self.probe]

    @cached_property
    def selected_items(self) -> list[Item]:
        """The items, one data set after another.

        Raises:
            heliostat.RequestError: for a file without items.
        """
        file = self.items
        known = self.design.load_items(file) if file else self.design.shipped_items()
        if not known:
            raise hs.RequestError(f"items {file}: there are none")
        return select(known, self.limit)

    def prepare(self) -> Clients:
        """Return the assistant, the judge and the scorer.

        Raises:
            heliostat.RequestError: if one of them cannot be used.
        """
        models = Models(self._budget, self.wire, self.timeout)
        temperature = self.judge_temperature
        judge = (self.judge, self.judge_url, self.judge_model, temperature)
        scorer = (self.scorer, self.scorer_url, self.scorer_model, temperature)
        return Clients(
            self._assistant(models),
            build_judge(models, *judge),
            build_scorer(models, *scorer),
            models.servers,
        )

    def _assistant(self, models: Models) -> Assistant:
        match self.assistant:
            case "scripted":
                planted = parse_rates(self.planted, self.probe)
                return ScriptedAssistant(self.selected_items, self.probe, planted)
            case "local":
                return models.local
            case _:
                return models.endpoint(self.url, self.model, ASSISTANT_KEY)

    @property
    def _budget(self) -> Budget:
        """One account for all workers of a run: its name follows from the fields."""
        name = hashlib.sha256(repr(self).encode()).hexdigest()[:16]
        prices = Prices(*self.price)
        return Budget(f"sycophancy {name}", prices, self.cap or None)

    def init(self, key: Any, replica: int, data: Clients) -> dict[str, Any]:
        """Return the state before the first turn.

        Args:
            key: unused.
            replica: number of the item.
            data: unused.

        Returns:
            The number of the item, of the turn, and the conversations by cell.
        """
        count = len(self.design.conditions) * self.epochs
        empty = {"said": [], "failure": ""}
        return {"item": int(replica), "turn": 0, "talks": [empty] * count}

    async def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: Any, state: dict[str, Any], data: Clients
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Take the next turn of all conversations of an item, at the same time.

        Args:
            key: random key of the item and turn; the seed of the replies.
            state: from :meth:`init` or the last step.
            data: from :meth:`prepare`.

        Returns:
            The new state and the row.
        """
        number = min(state["turn"] + 1, self.design.turns)
        turn = self._turn(self.selected_items[state["item"]], number, _seed(key))
        dialogues = [Dialogue(**dialogue) for dialogue in state["talks"]]
        dialogues = await turn.reply_all(data.assistant, dialogues)
        grades = await turn.grade_all(data.judge, dialogues)
        scores = await turn.score_all(data.scorer, dialogues)
        talks = [dialogue.state for dialogue in dialogues]
        new = {"turn": number, "talks": talks}
        return state | new, turn.row(dialogues, grades) | scores

    def _turn(self, item: Item, number: int, seed: int) -> Turn:
        random = self.temperature != 0 or self.assistant == "scripted"
        # Greedy replies do not depend on the seed: without it, more of them are cached.
        settings = Settings(self.temperature, self.max_tokens, seed if random else None)
        texts = (self.system, self.prefill)
        return Turn(self.design, item, number, self.epochs, settings, *texts)

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Return the rates, and counts of failed, unparsed and unscored replies.

        The error of a rate is half the width of its 95 % interval.  The source of a
        count is the commonest reason.

        Args:
            rows: rows of the turns so far.

        Returns:
            Estimates by name; none before the first turn has ended.
        """
        if not rows.sizes["turn"]:
            return {}
        intervals = rates.measure_rates(self.design, rows)
        estimates = {
            name: hs.Estimate(interval.value, interval.half_width)
            for name, interval in intervals.items()
            if np.isfinite(interval.value)
        }
        counts = rates.count_lost(grades_of(rows))
        estimates |= {name: hs.Estimate(count) for name, count in counts.items()}
        if counts["failed"]:
            reason = rates.commonest_reason(rows["failure"])
            estimates["failed"] = estimates["failed"]._replace(source=reason)
        if "score" in rows:
            estimates["unscored"] = rates.count_unscored(rows)
        return estimates


def _seed(key: Any) -> int:
    """Return 31 bits of a cell's key, because servers want a small number."""
    import jax

    return int(np.asarray(jax.random.key_data(key))[-1]) & 0x7FFFFFFF
