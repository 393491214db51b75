"""The verifier: it trusts nothing in a transcript, and says what it could establish.

In this order, each step only if the last one found nothing wrong:

1. signatures and bindings: data to seed, seed to order and initial weights, digests
2. every checkpoint is read and measured: how far each segment moved
3. traces of memorisation, which decide what is looked at first and nothing else
4. replays of all segments, or of a sample, each from the checkpoint before it
5. a verdict

REJECT needs a contradiction, ACCEPT needs every replay that was asked for to agree, and
what ends without either is INCONCLUSIVE.
"""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

import heliostat as hs
from heliostat.driver.placement import Placement, chunks
from heliostat.loop.work import Job, Limits, Span
from heliostat_tasks.provenance.cost import Beyond, Budget, Deadline
from heliostat_tasks.provenance.transcript.formats import Refused
from heliostat_tasks.provenance.transcript.reader import (
    Transcript,
    envelope_digest,
    transcript,
)
from heliostat_tasks.provenance.transcript.writer import stops
from heliostat_tasks.provenance.verify import memorisation, sampling
from heliostat_tasks.provenance.verify.comparison import Replay, compared
from heliostat_tasks.provenance.verify.distances import Movement, movement
from heliostat_tasks.provenance.verify.memorisation import Traces
from heliostat_tasks.provenance.verify.scores import amounts, scoring, shown

Verdict = Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]
Tell = Callable[[str], None]

LOST = (
    "a segment could not be computed here: its workers were lost again and again, or "
    "it was beyond their limits"
)
"""Said of whatever workers failed of: their own words differ from time to time."""


class Policy(NamedTuple):
    """What a verifier demands; nothing of it is ever read from a transcript."""

    epsilon: float = 1e-5  # largest distance in another environment
    segments: int | Literal["all"] = "all"
    points: int | None = None  # records that memorisation looks at; 0 is none
    prover: str | None = None  # public key, if it is known
    issuers: tuple[str, ...] = ()  # public keys of those who may issue nonces
    challenge: bytes | None = None  # for the sample; default drawn now
    budget: Budget = Budget()
    all_failures: bool = False  # go on after the first REJECT


class Audit(NamedTuple):
    """All that was found, from which report and verdict follow."""

    verdict: Verdict
    reasons: list[str]
    policy: Policy
    file: str = ""  # SHA-256 of the last envelope, whatever is in it
    claims: Transcript | None = None
    moves: list[Movement] = []
    traces: list[Traces] = []
    adjusted: np.ndarray = np.zeros(0)  # p-values of the traces, after Holm
    pictured: np.ndarray = np.zeros((0, 0))  # (checkpoint, shown) M, nats
    shown: np.ndarray = np.zeros(0, int)  # segments that are pictured
    flags: dict[int, list[str]] = {}
    plan: list[int] = []
    replays: list[Replay] = []


def audit(
    folder: Path,
    work: Path,
    policy: Policy,
    place: Placement,
    tell: Tell = lambda line: None,
) -> Audit:
    """Check a transcript; never raises for what is in it.

    Args:
        folder: the transcript.
        work: the verifier's own folder, where its copy of the records goes.
        place: where replays are computed.
        tell: receives a line now and then.
    """
    found = Audit("INCONCLUSIVE", [], policy, envelope_digest(folder))
    deadline = Deadline(policy.budget.total)
    try:
        claims = transcript(folder, work / "records.bin", policy.prover, policy.budget)
        found = found._replace(claims=claims)
        found = found._replace(moves=_moves(claims, deadline))
        if all(" cpu" in layout for layout, _ in claims.environments):
            place = place._replace(gpus=0)  # so that bits can agree
        tell(f"{len(found.moves)} segments; signatures, order and start are right")
        found = _scored(found, place, deadline)
        found = _planned(found)
        return _judged(_replayed(found, place, deadline, tell))
    except Refused as error:
        return found._replace(verdict="REJECT", reasons=[str(error)])
    except (Beyond, hs.RequestError) as error:
        return found._replace(reasons=[str(error)])
    except hs.RunFailed as error:
        tell(str(error))
        return found._replace(reasons=[LOST])
    except (MemoryError, OSError, RecursionError) as error:
        reason = f"it could not be finished here: {type(error).__name__}"
        return found._replace(reasons=[reason])


def segments_of(claims: Transcript) -> list[tuple[int, int]]:
    """First and last step of each segment: it leads from one checkpoint to the next."""
    ends = stops(claims.task)
    return [*itertools.pairwise(ends)]


def _moves(claims: Transcript, deadline: Deadline) -> list[Movement]:
    """How far each segment moved; every checkpoint is read and checked on the way."""
    moves, before = [], claims.state(0)
    for _, stop in deadline.kept(segments_of(claims)):
        after = claims.state(stop)
        moves.append(movement(before, after))
        before = after
    return moves


def _scored(found: Audit, place: Placement, deadline: Deadline) -> Audit:
    """Traces of memorisation of every segment."""
    claims, points = found.claims, found.policy.points
    assert claims is not None
    points, pictured = amounts(claims.task, points)
    if not points or claims.task.held_out < 2:
        return found
    job = scoring(claims, points, pictured)._replace(limits=_limits(found.policy))
    scored = deadline.kept(chunks(job, place, lambda *_, **__: None))
    rows = {chunk.block: chunk.rows for chunk in scored}
    table = {
        name: np.stack([rows[i][name][0, 0, 0] for i in range(len(rows))])
        for name in job.task.emits
    }
    fresh, sizes = table["held_out"], [b - a for a, b in segments_of(claims)]
    told = [
        memorisation.traces(
            (table["after"][i + 1] - table["before"][i])[: size * claims.task.batch],
            fresh[i + 1] - fresh[i],
        )
        for i, size in enumerate(sizes)
    ]
    adjusted = memorisation.holm(np.array([t.p_value for t in told]))
    return found._replace(
        traces=told,
        adjusted=adjusted,
        pictured=memorisation.of(table["pictured"], fresh),
        shown=shown(len(sizes), pictured[0]),
    )


def _planned(found: Audit) -> Audit:
    """What looks odd, and which segments are replayed."""
    flags = sampling.odd(
        [m.total for m in found.moves], [t.p_value for t in found.traces]
    )
    everything = list(range(len(found.moves)))
    wanted = found.policy.segments
    if wanted == "all" or wanted >= len(everything):
        suspicious_first = sorted(everything, key=lambda i: (i not in flags, i))
        return found._replace(flags=flags, plan=suspicious_first)
    challenge = found.policy.challenge or secrets.token_bytes(32)
    policy = found.policy._replace(challenge=challenge)
    forced = {0, everything[-1], *flags}
    plan = sampling.chosen(everything, wanted, challenge, forced)
    plan = sorted(plan, key=lambda i: (i not in flags, i))
    return found._replace(policy=policy, flags=flags, plan=plan)


def _replayed(found: Audit, place: Placement, deadline: Deadline, tell: Tell) -> Audit:
    """The planned segments, replayed; after a REJECT only those before it in the plan,
    so that what is reported does not depend on how many worked at it."""
    claims = found.claims
    assert claims is not None
    job, results = _job(claims, found), {}
    ends = segments_of(claims)
    place_of = {ends[segment]: at for at, segment in enumerate(found.plan)}
    last = len(found.plan)
    try:
        for chunk in deadline.kept(chunks(job, place, lambda *_, **__: None)):
            at = place_of[chunk.start, chunk.stop]
            moved = found.moves[found.plan[at]]
            results[at] = compared(claims, found.plan[at], moved, chunk)
            tell(f"{len(results)} of {len(found.plan)} segments replayed")
            kind, _ = results[at].judged(found.policy.epsilon)
            if kind == "reject" and not found.policy.all_failures:
                last = min(last, at + 1)
            if all(i in results for i in range(last)):
                break
    except Refused:
        raise
    except (Beyond, hs.RequestError) as error:
        found = found._replace(reasons=[f"not all could be replayed: {error}"])
    except hs.RunFailed as error:
        tell(str(error))
        found = found._replace(reasons=[LOST])
    done = [results[i] for i in range(last) if i in results]
    return found._replace(replays=done)


def _job(claims: Transcript, found: Audit) -> Job:
    def state(step: int) -> dict[str, np.ndarray]:
        return {name: a[None, None] for name, a in claims.state(step).items()}

    spans = [
        Span(0, start, stop, lambda step=start: state(step))
        for start, stop in (segments_of(claims)[i] for i in found.plan)
    ]
    return Job(claims.task, 0, False, tuple(spans), _limits(found.policy), True)


def _limits(policy: Policy) -> Limits:
    return Limits(memory=policy.budget.memory, seconds=policy.budget.seconds)


def _judged(found: Audit) -> Audit:
    """The verdict: a contradiction, agreement everywhere, or neither."""
    claims = found.claims
    assert claims is not None
    ends = segments_of(claims)
    bad = [
        f"segment {r.segment + 1} (steps {a + 1} to {b}): {reason}{r.place}"
        for r in found.replays
        for a, b in [ends[r.segment]]
        for kind, reason in [r.judged(found.policy.epsilon)]
        if kind == "reject"
    ]
    if bad:
        return found._replace(verdict="REJECT", reasons=bad)
    open_ends = [*found.reasons, *doubts(found)]
    if claims.nonce["issuer"] not in found.policy.issuers:
        open_ends.append(
            "nobody whom this verifier trusts issued the nonce, so the seed may have "
            f"been chosen; --issuer {claims.nonce['issuer']} trusts that key"
        )
    if len(found.replays) < len(found.plan) and not open_ends:
        open_ends.append("not every segment that was planned was replayed")
    verdict = "INCONCLUSIVE" if open_ends else "ACCEPT"
    return found._replace(verdict=verdict, reasons=open_ends)


def doubts(found: Audit) -> list[str]:
    """Segments that end with other bits, though most of their environment do not.

    Whoever claims another environment is judged within ε; where its bits agree as a
    rule, an exception is no rounding.  It is no contradiction either: so it is asked.
    """
    claims = found.claims
    assert claims is not None
    claimed = claims.environments
    loose = [r for r in found.replays if not r.exact]
    seen = Counter(claimed[r.segment] for r in loose)
    equal = Counter(claimed[r.segment] for r in loose if r.equal)
    odd_ones = [
        str(r.segment + 1)
        for r in loose
        if not r.equal and 2 * equal[claimed[r.segment]] > seen[claimed[r.segment]]
    ]
    return [
        f"segment {number} ends with other bits, within epsilon, though most segments "
        "of the same environment replay bit for bit"
        for number in odd_ones
    ]
