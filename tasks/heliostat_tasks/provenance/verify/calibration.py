"""How large ε must be: honest segments, replayed where bits cannot agree.

    ε = 10 · max r of all weights, and at least max r of a tensor

The next honest replay exceeds the largest r of n with probability 1 / (n + 1), whatever
the distribution.

ε is the verifier's: it is measured on its machines, and never read from a transcript.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import heliostat as hs
from heliostat import Answer
from heliostat.driver.placement import Placement, chunks
from heliostat.loop.work import Job, Limits, Span
from heliostat_tasks.provenance.transcript.formats import Refused
from heliostat_tasks.provenance.transcript.reader import Transcript, transcript
from heliostat_tasks.provenance.verify.audit import segments_of
from heliostat_tasks.provenance.verify.distances import distances, movement

MARGIN = 10.0


def measured(
    folder: Path,
    cores: int,
    segments: int,
    workers: int | None,
    tell: Callable[[str], None],
) -> Answer:
    """Distances of honest replays on other numbers of cores, and the ε they ask for.

    Raises:
        RequestError: if the folder holds no transcript that can be read.
    """
    from heliostat.system.device import cores as available

    if not 1 <= cores <= len(available()):
        raise hs.RequestError(
            f"cores {cores}: expected 1 to {len(available())}, as this machine has"
        )
    with tempfile.TemporaryDirectory() as work:
        try:
            claims = transcript(folder, Path(work) / "records.bin")
        except Refused as error:
            raise hs.RequestError(f"{folder}: {error}") from error
        place = Placement("local", workers or max(1, len(available()) // cores), 0)
        found = replays(claims, cores, segments, place, tell)
    return _told(found, cores)


def replays(
    claims: Transcript,
    cores: int,
    segments: int,
    place: Placement,
    tell: Callable[[str], None] = lambda line: None,
) -> list[dict[str, float]]:
    """The distances of each tensor, of some segments spread over the training."""
    ends = segments_of(claims)
    which = sorted({*np.linspace(0, len(ends) - 1, segments).round().astype(int)})
    chosen = [ends[i] for i in which]
    states = {step: claims.state(step) for pair in chosen for step in pair}
    spans = [
        Span(0, a, b, {name: array[None, None] for name, array in states[a].items()})
        for a, b in chosen
    ]
    job = Job(claims.task, 0, False, tuple(spans), Limits(cores), True)
    found = []
    for chunk in chunks(job, place, lambda *_, **__: None):
        state = {name: array[0, 0] for name, array in chunk.state.items()}
        before, after = states[chunk.start], states[chunk.stop]
        found.append(distances(state, after, movement(before, after)))
        tell(f"{len(found)} of {len(spans)}: r = {max(found[-1].values()):.1e}")
    return found


def _told(found: list[dict[str, float]], cores: int) -> Answer:
    worst = max(max(one.values()) for one in found)
    weights = max(one["weights"] for one in found)
    epsilon = max(MARGIN * weights, worst)  # of a tensor 10 ε are allowed
    asks = f"epsilon {epsilon:.1e}" if epsilon else "bits agree: any epsilon will do"
    lines = [
        f"{len(found)} honest replays on {cores} cores",
        f"  largest r of a tensor {worst:.2e}, of all weights {weights:.2e}",
        f"  {asks}; the next replay exceeds the largest r with "
        f"probability {1 / (len(found) + 1):.2g}",
    ]
    about: dict[str, Any] = {"n": len(found), "cores": cores, "max": worst}
    return Answer(lines, about | {"max_weights": weights, "epsilon": epsilon})
