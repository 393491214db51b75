"""Calibration of ε: distances of honest replays whose bits cannot agree.

    ε = 10 · max r of all weights, and at least max r of a tensor

The next honest replay exceeds the largest r of n with probability 1 / (n + 1), whatever
the distribution.

ε is the verifier's own: it is measured on its machines, and never read from a
transcript.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import heliostat as hs
from heliostat_tasks.provenance.canonical import Refused
from heliostat_tasks.provenance.transcript.file_format import (
    from_block,
    segments,
    to_block,
)
from heliostat_tasks.provenance.transcript.reader import Transcript, read_transcript
from heliostat_tasks.provenance.verify.distances import distances, movement

MARGIN = 10.0

OnLine = Callable[[str], None]


def calibrate_epsilon(
    folder: Path, cores: int, count: int, workers: int | None, on_line: OnLine
) -> hs.Answer:
    """Replay honest segments on other numbers of cores, and derive ε.

    Args:
        folder: an honest transcript.
        cores: cores of each replay.
        count: number of segments.
        workers: replays at a time; default as many as the cores allow.
        on_line: receives lines of progress.

    Raises:
        RequestError: for an unreadable transcript, or more cores than there are.
    """
    with tempfile.TemporaryDirectory() as work:
        try:
            claims = read_transcript(folder, Path(work) / "records.bin")
        except Refused as error:
            raise hs.RequestError(f"{folder}: {error}") from error
        replays = replay_distances(
            claims, count, on_line, limits=hs.Limits(cores), workers=workers
        )
    return _answer(replays, cores)


def replay_distances(
    claims: Transcript,
    count: int,
    on_line: OnLine = lambda line: None,
    **options: Any,
) -> list[dict[str, float]]:
    """Replay segments spread over the training, and measure each tensor's distance.

    Args:
        claims: an honest transcript.
        count: number of segments.
        on_line: receives lines of progress.
        options: options of :func:`heliostat.replay`.
    """
    ends = segments(claims.task)
    selected = sorted({*np.linspace(0, len(ends) - 1, count).round().astype(int)})
    pairs = [ends[i] for i in selected]
    states = {step: claims.state(step) for pair in pairs for step in pair}
    spans = [hs.Span(0, a, b, to_block(states[a])) for a, b in pairs]
    results: list[dict[str, float]] = []
    for chunk in hs.replay(claims.task, spans, gpus=0, in_order=True, **options):
        before, after = states[chunk.start], states[chunk.stop]
        moved = movement(before, after)
        results.append(distances(from_block(chunk.state), after, moved))
        largest = max(results[-1].values())
        on_line(f"{len(results)} of {len(spans)}: r = {largest:.1e}")
    return results


def _answer(replays: list[dict[str, float]], cores: int) -> hs.Answer:
    worst = max(max(replay.values()) for replay in replays)
    weights = max(replay["weights"] for replay in replays)
    epsilon = max(MARGIN * weights, worst)  # a tensor may differ by 10 ε
    advice = f"epsilon {epsilon:.1e}" if epsilon else "bits agree: any epsilon will do"
    lines = [
        f"{len(replays)} honest replays on {cores} cores",
        f"  largest r of a tensor {worst:.2e}, of all weights {weights:.2e}",
        f"  {advice}; the next replay exceeds the largest r with "
        f"probability {1 / (len(replays) + 1):.2g}",
    ]
    about: dict[str, Any] = {"n": len(replays), "cores": cores, "max": worst}
    return hs.Answer(lines, about | {"max_weights": weights, "epsilon": epsilon})
