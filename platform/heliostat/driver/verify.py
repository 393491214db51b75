"""Verify a stored run: check what it stored, then replay some of its strides.

A replay from a kept state must give the stored digests. On another layout of devices,
or in another environment, bits may differ; there the first rows of a stride are
compared within a tolerance instead.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from heliostat.answer import INCONCLUSIVE
from heliostat.driver.finish import error_line
from heliostat.driver.integrity import contradictions, stride_start
from heliostat.driver.parent import stored_parent
from heliostat.driver.placement import Placement
from heliostat.driver.progress import Progress, display_of
from heliostat.driver.replay import replay
from heliostat.errors import CannotRead, RequestError, StoreError
from heliostat.loop.state import StrideDigests, relative_difference
from heliostat.loop.work import Chunk, Span, block_count
from heliostat.results.lookup import as_run
from heliostat.results.run import Run
from heliostat.store import blocks
from heliostat.task import Task

TOLERANCE = {False: 2e-3, True: 1e-8}
"""Relative difference of rows that is allowed across layouts and environments, in
float32 and float64, over the first ``COMPARED`` steps of a stride.  Rounding alone
stays far below it; float32 leaves room for one Metropolis decision that fell the other
way."""

COMPARED = 3
"""Steps of a stride that are compared across layouts and environments."""

UNBOUND = (
    "not bound: long names, typed fields, length, status, times, origin, log, tags"
)
"""Parts of a record that anybody may rewrite without a contradiction."""

Segments = int | Literal["all"]


class Verdict(NamedTuple):
    """Result of a verification.

    ``ACCEPT``: what is stored and what was replayed agree. ``REJECT``: they do not, and
    ``reasons`` name the places. ``INCONCLUSIVE``: nothing contradicts the run, but a
    part of it could not be checked. ``unbound`` names the parts that no digest binds.
    """

    status: Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]
    reasons: list[str]
    replayed: list[str]
    unbound: str = UNBOUND

    def __str__(self) -> str:
        lines = [self.status, *(f"  {r}" for r in self.reasons)]
        return "\n".join(lines + [f"  {r}" for r in (*self.replayed, self.unbound)])


def verify(
    run: str | Run,
    *,
    store: str | Path | None = None,
    segments: Segments = 3,
    on: str = "local",
    workers: int | None = None,
    seed: int | None = None,
    code: str | Sequence[str] = (),
    progress: Progress | bool | None = None,
) -> Verdict:
    """Check a stored run against its digest chain, and replay some of its strides.

    Args:
        run: an id (or its first digits), or a :class:`Run`.
        store: folder of runs; default ``$HELIOSTAT_STORE``, else ``./runs``.
        segments: strides to replay: the first, and others drawn at random among those
            that follow a kept state; ``"all"`` replays the whole run.
        on: ``"local"`` for an embedded Ray, ``"here"`` for this process, ``"auto"`` for
            the cluster of this process, or a cluster's address.
        workers: processes; default those that computed the run, so that bits can agree.
        seed: seed of the draw; default a fresh one.
        code: FILE.py:NAME of each function that is a field of the task.
        progress: False prints nothing; default a line on standard error before a replay
            asks a server, or an observer of the run.

    Returns:
        The :class:`Verdict`; its reasons name the first places that disagree.

    Raises:
        RequestError: if there is no such run, or if the options make no sense.

    Example:
        >>> import heliostat as hs
        >>> from heliostat_tasks.discrete import Discrete
        >>> task = Discrete(size=3, chains=4, warmup=5)
        >>> run = hs.run(task, steps=20, on="here")
        >>> print(hs.verify(run, segments=1, on="here"))
        ACCEPT
          replayed block 0, steps 1 to 20: compared bit for bit
          not bound: long names, typed fields, length, status, times, origin, log, tags
    """
    if segments != "all" and segments < 0:
        raise RequestError(f"segments {segments}: expected 0 or more")
    placement = Placement(on, workers).validate()
    try:
        view = as_run(run, store, None, code)
        run = Run(view.path, view.task)  # in full: a view may be its beginning
        return _verdict(run, segments, placement, seed, display_of(progress))
    except CannotRead as error:
        return Verdict(INCONCLUSIVE, [str(error)], [])
    except StoreError as error:
        return Verdict("REJECT", [str(error)], [])
    except RequestError:
        raise
    except Exception as error:  # a hostile record or a task may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return Verdict(INCONCLUSIVE, [f"it could not be checked ({reason})"], [])


def _verdict(
    run: Run,
    segments: Segments,
    placement: Placement,
    seed: int | None,
    progress: Progress,
) -> Verdict:
    if not run.record.steps:
        return Verdict(INCONCLUSIVE, ["the run has no committed steps"], [])
    reasons = contradictions(run)
    if reasons or segments == 0:
        return Verdict("REJECT" if reasons else "ACCEPT", reasons, [])
    _announce_servers(run.task, progress)
    workers = placement.workers or _workers(run, placement.on)
    placement = placement._replace(workers=workers, gpus=_gpus(run))
    spans = _draw_spans(run, segments, random.Random(seed))
    return _Comparison(run).judge(_replay(run, spans, placement))


def _announce_servers(task: Task, progress: Progress) -> None:
    """Say which servers a replay asks before it asks them."""
    if task.asks:
        servers = " and ".join(task.asks)
        reason = f"{servers}; each reply that this machine has not kept may cost money"
        progress.on_event("the replay asks", {"reason": reason})


def _replay(run: Run, spans: list[Span], placement: Placement) -> Iterator[Chunk]:
    options: dict[str, Any] = placement._asdict()
    del options["seconds"]
    identity = run.spec.identity
    seed, x64 = identity["seed"], identity["x64"]
    return replay(run.task, spans, seed=seed, x64=x64, **options)


def _draw_spans(run: Run, segments: Segments, draw: random.Random) -> list[Span]:
    """Return spans from kept states: of one stride each, or to the next kept state."""
    stride, parent = run.task.stride, stored_parent(run)
    spans: list[tuple[int, int, int]] = []
    for block in range(block_count(run.task)):
        last = int(run.record.committed[block])
        kept = [s for s in run.kept(block) if s % stride == 0 and s < last]
        starts = sorted({0, *kept})
        for start, next_start in zip(starts, [*starts[1:], last], strict=True):
            one_stride = min(start + stride, last)
            stop = next_start if segments == "all" else one_stride
            spans.append((block, start, stop))
    if segments != "all":
        others = draw.sample(spans[1:], min(segments - 1, len(spans) - 1))
        spans = sorted([spans[0], *others])
    load = run.record.load_state
    return [
        Span(*span, partial(load, *span[:2]) if span[1] or parent else None)
        for span in spans
    ]


class _Comparison:
    """Replayed chunks against the rows and digests that a run stored."""

    def __init__(self, run: Run) -> None:
        self.run, self.task = run, run.task
        self.limit = TOLERANCE[run.spec.identity["x64"]]
        self.layouts = _layouts(run)
        self.stored = {
            (block, stride.stop): stride
            for block in range(block_count(self.task))
            for stride, _ in run.record.strides(block, self.task.stride)
        }
        self.reasons: list[str] = []
        self.undecided: list[str] = []  # neither confirmed nor contradicted
        self.replayed: list[str] = []

    def judge(self, chunks: Iterator[Chunk]) -> Verdict:
        """Compare all chunks.  A failure of the workers proves nothing of the run."""
        try:
            for chunk in chunks:
                self._compare(chunk)
        except (RequestError, StoreError):
            raise
        except Exception as failure:  # a task may raise anything
            reason = error_line(failure)
            self.undecided.append(f"the replay could not be finished: {reason}")
        status = (
            "REJECT" if self.reasons else INCONCLUSIVE if self.undecided else "ACCEPT"
        )
        return Verdict(status, self.reasons + self.undecided, self.replayed)

    def _compare(self, chunk: Chunk) -> None:
        where = f"block {chunk.block}, steps {chunk.start + 1} to {chunk.stop}"
        layout = (chunk.layout, chunk.environment)
        if layout == self.layouts.get((chunk.block, chunk.stop)):
            self.reasons += self._digest_mismatch(chunk)
            self.replayed.append(f"replayed {where}: compared bit for bit")
            return
        distance = self._distance(chunk)
        self.replayed.append(
            f"replayed {where} on {chunk.layout}: rows differ by {distance:.1e} "
            f"(relative; {self.limit:.0e} allowed over {COMPARED} steps)"
        )
        if distance > self.limit:
            self.undecided.append(
                f"{where}: rows differ by {distance:.1e} on another layout"
            )

    def _digest_mismatch(self, chunk: Chunk) -> list[str]:
        """Return the first stride whose digests are not the stored ones."""
        for stride in chunk.strides[0]:
            names = _differing(stride, self.stored[chunk.block, stride.stop])
            if names:
                first = stride_start(stride.stop, self.task.stride) + 1
                return [
                    f"replay gives another {' and other '.join(names)} at block "
                    f"{chunk.block}, steps {first} to {stride.stop}"
                ]
        return []

    def _distance(self, chunk: Chunk) -> float:
        """Return the largest relative difference of the first rows of a chunk."""
        stop = min(chunk.start + COMPARED, chunk.stop)
        stored = blocks.rows(self.run.record, self.task, chunk.block, chunk.start, stop)
        first = slice(stop - chunk.start)
        names = [name for name in stored if not self.task.emits[name].exact]
        pairs = [(chunk.rows[name][0][:, first], stored[name]) for name in names]
        return max((relative_difference(*pair) for pair in pairs), default=np.inf)


def _differing(replayed: StrideDigests, stored: StrideDigests) -> list[str]:
    names = ("state", "rows")
    return [n for n in names if getattr(replayed, n) != getattr(stored, n)]


def _layouts(run: Run) -> dict[tuple[int, int], tuple[str, str]]:
    """Return layout and environment of each stride, by (block, last step).

    A replay has the same bits where both agree.
    """
    stride, last, layouts = run.task.stride, int(run.record.committed.max()), {}
    for event in run.events():
        if event["event"] == "committed":
            start, stop = max(event["start"], 0), min(event["stop"], last)
            layout = (event["layout"], event.get("environment", ""))
            stops = [*range(start + stride, stop, stride), stop]
            layouts |= {(event["block"], s): layout for s in stops}
    return layouts


def _workers(run: Run, on: str) -> int | None:
    """Return the size of the last team, if its workers shared one replica."""
    if on == "here" or not run.task.sharded:
        return None
    sizes = [e["workers"] for e in run.events() if e["event"] == "placed"]
    return sizes[-1] if sizes else 1


def _gpus(run: Run) -> float | None:
    """Return 0 for a run of CPUs, so that bits can agree; else None for all GPUs."""
    layouts = [e["layout"] for e in run.events() if e["event"] == "committed"]
    return 0 if layouts and all(" cpu" in layout for layout in layouts) else None
