"""Audit of a transcript by a verifier that trusts nothing in it.

Each step runs only if the one before it found nothing wrong:

1. signatures and bindings: data to seed, seed to order and initial weights, digests
2. reading of every checkpoint, and the movement of each segment
3. traces of memorisation, which select segments for replays and decide nothing else
4. replays of all segments or of a sample, each from the checkpoint before it
5. the verdict

REJECT needs a contradiction, ACCEPT needs the agreement of every planned replay, and
everything else is INCONCLUSIVE.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

import heliostat as hs
from heliostat_tasks.provenance.canonical import Refused
from heliostat_tasks.provenance.cost import Deadline, OverBudget
from heliostat_tasks.provenance.transcript.file_format import (
    from_block,
    segments,
    to_block,
)
from heliostat_tasks.provenance.transcript.reader import (
    Transcript,
    envelope_digest,
    read_transcript,
)
from heliostat_tasks.provenance.verify import sampling
from heliostat_tasks.provenance.verify.comparison import (
    ReplayComparison,
    compare_replay,
)
from heliostat_tasks.provenance.verify.distances import Movement, movement
from heliostat_tasks.provenance.verify.findings import Audit, AuditPolicy, ReplayPlace
from heliostat_tasks.provenance.verify.memorisation import holm, memorisation, traces
from heliostat_tasks.provenance.verify.scores import (
    Scores,
    amounts,
    plotted_segments,
    score_spans,
)
from heliostat_tasks.provenance.verify.verdict import judge

OnLine = Callable[[str], None]

Comparisons = dict[int, ReplayComparison]
"""Compared replays, by their position in the plan."""

LOST = (
    "a segment could not be computed here: its workers were lost again and again, or "
    "it was beyond their limits"
)
"""Reason of any failure of workers: their own messages vary from run to run."""


def audit(
    folder: Path,
    work: Path,
    policy: AuditPolicy,
    place: ReplayPlace,
    on_line: OnLine = lambda line: None,
) -> Audit:
    """Audit a transcript; whatever it contains becomes a verdict, never an exception.

    Args:
        folder: the transcript.
        work: folder of the verifier's own, which receives a copy of the records.
        policy: the verifier's demands.
        place: where replays are computed.
        on_line: receives lines of progress.
    """
    result = Audit("INCONCLUSIVE", [], policy, envelope_digest(folder))
    deadline = Deadline(policy.budget.total)
    try:
        copy = work / "records.bin"
        claims = read_transcript(folder, copy, policy.prover, policy.budget)
        result = result._replace(claims=claims)
        result = result._replace(moves=_movements(claims, deadline))
        if all(" cpu" in layout for layout, _ in claims.environments):
            place = place._replace(gpus=0)  # so that bits can agree
        count = len(result.moves)
        on_line(f"{count} segments; signatures, order and start are right")
        result = _plan(_score(result, place, deadline))
        return judge(_replay(result, place, deadline, on_line))
    except Refused as error:
        return result._replace(verdict="REJECT", reasons=[str(error)])
    except (OverBudget, hs.RequestError) as error:
        return result._replace(reasons=[str(error)])
    except hs.RunFailed as error:
        on_line(str(error))
        return result._replace(reasons=[LOST])
    except (MemoryError, OSError, RecursionError) as error:
        reason = f"it could not be finished here: {type(error).__name__}"
        return result._replace(reasons=[reason])


def _movements(claims: Transcript, deadline: Deadline) -> list[Movement]:
    """Movement of each segment; this reads and checks every checkpoint."""
    moves, before = [], claims.state(0)
    for _, stop in deadline.enforce(segments(claims.task)):
        after = claims.state(stop)
        moves.append(movement(before, after))
        before = after
    return moves


def _score(result: Audit, place: ReplayPlace, deadline: Deadline) -> Audit:
    """Test every segment for traces of memorisation."""
    claims = result.claims
    assert claims is not None
    points, plotted = amounts(claims.task, result.policy.points)
    if not points or claims.task.held_out < 2:
        return result
    task, limits = Scores(claims.task, points, plotted), _limits(result.policy)
    replay = hs.replay(task, score_spans(claims), **place._asdict(), limits=limits)
    table = _by_checkpoint(deadline.enforce(replay), task)
    fresh = table["held_out"]
    statistics = []
    for i, (start, stop) in enumerate(segments(claims.task)):
        change = table["after"][i + 1] - table["before"][i]
        trained = change[: (stop - start) * claims.task.batch]
        statistics.append(traces(trained, fresh[i + 1] - fresh[i]))
    return result._replace(
        traces=statistics,
        adjusted=holm(np.array([t.p_value for t in statistics])),
        memorisation=memorisation(table["plotted"], fresh),
        plotted=plotted_segments(len(statistics), plotted[0]),
    )


def _by_checkpoint(chunks: Iterable[hs.Chunk], task: Scores) -> dict[str, np.ndarray]:
    """Losses of each kind, with a leading axis of checkpoints."""
    rows = {chunk.block: from_block(chunk.rows) for chunk in chunks}
    return {
        name: np.stack([rows[i][name][0] for i in range(len(rows))])
        for name in task.emits
    }


def _plan(result: Audit) -> Audit:
    """Flag suspicious segments, and plan the replays: flagged segments first."""
    flags = sampling.flag_segments(
        [m.total for m in result.moves], [t.p_value for t in result.traces]
    )
    everything = list(range(len(result.moves)))
    count = result.policy.segments
    if count == "all" or count >= len(everything):
        plan = sorted(everything, key=lambda i: (i not in flags, i))
        return result._replace(flags=flags, plan=plan)
    challenge = result.policy.challenge or secrets.token_bytes(32)
    policy = result.policy._replace(challenge=challenge)
    forced = {0, everything[-1], *flags}
    plan = sampling.sample_segments(everything, count, challenge, forced)
    plan = sorted(plan, key=lambda i: (i not in flags, i))
    return result._replace(policy=policy, flags=flags, plan=plan)


def _replay(
    result: Audit, place: ReplayPlace, deadline: Deadline, on_line: OnLine
) -> Audit:
    """Replay the planned segments, and compare each with its claim."""
    claims = result.claims
    assert claims is not None
    ends = [segments(claims.task)[i] for i in result.plan]
    comparisons: Comparisons = {}
    try:
        chunks = deadline.enforce(_chunks(claims, ends, result.policy, place))
        for chunk in chunks:
            at = ends.index((chunk.start, chunk.stop))
            moved = result.moves[result.plan[at]]
            comparisons[at] = compare_replay(claims, result.plan[at], moved, chunk)
            on_line(f"{len(comparisons)} of {len(result.plan)} segments replayed")
            if all(i in comparisons for i in range(_counted(result, comparisons))):
                break
    except Refused:
        raise
    except (OverBudget, hs.RequestError) as error:
        result = result._replace(reasons=[f"not all could be replayed: {error}"])
    except hs.RunFailed as error:
        on_line(str(error))
        result = result._replace(reasons=[LOST])
    counted = range(_counted(result, comparisons))
    return result._replace(
        replays=[comparisons[i] for i in counted if i in comparisons]
    )


def _counted(result: Audit, comparisons: Comparisons) -> int:
    """Number of planned segments that count: those up to the first rejected one.

    So the report does not depend on the number of workers.
    """
    epsilon = result.policy.epsilon
    failures = (
        at for at, c in comparisons.items() if c.classify(epsilon)[0] == "reject"
    )
    everything = len(result.plan)
    if result.policy.all_failures:
        return everything
    return min(failures, default=everything - 1) + 1


def _chunks(
    claims: Transcript,
    ends: list[tuple[int, int]],
    policy: AuditPolicy,
    place: ReplayPlace,
) -> Iterator[hs.Chunk]:
    """Chunks of the replays; each start is read when a worker needs it."""
    spans = [
        hs.Span(0, start, stop, lambda step=start: to_block(claims.state(step)))
        for start, stop in ends
    ]
    return hs.replay(
        claims.task, spans, **place._asdict(), limits=_limits(policy), in_order=True
    )


def _limits(policy: AuditPolicy) -> hs.Limits:
    return hs.Limits(memory=policy.budget.memory, seconds=policy.budget.seconds)
