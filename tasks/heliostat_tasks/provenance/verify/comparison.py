"""Comparison of a replayed segment with its claim: same bits, near, or neither."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

import heliostat as hs
from heliostat_tasks.provenance.transcript.file_format import from_block
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.verify.distances import Movement, distances, same_bits

LOSS_TOLERANCE = 1e-4
"""Relative tolerance of a logged loss in another environment."""

PER_TENSOR = 10.0
"""Tolerance of a single tensor, in ε: rounding accumulates in small ones."""

ReplayClass = Literal["bitwise", "tolerance", "reject"]


class ReplayComparison(NamedTuple):
    """Result of replaying one segment."""

    segment: int
    same_environment: bool  # the environment is the claimed one, so bits must agree
    bitwise_equal: bool  # the bits of the final state agree
    distances: dict[str, float]  # distance of each tensor, and of "weights"
    first_differing_step: int | None  # first step whose log has other bits
    first_step_beyond_rounding: int | None  # whose logged loss is beyond rounding

    def classify(
        self, epsilon: float, exact: bool | None = None
    ) -> tuple[ReplayClass, str]:
        """Classify the replay, with the reason of a rejection.

        Args:
            epsilon: largest distance where bits cannot agree.
            exact: bits must agree; default if the environment is the claimed one.
        """
        exact = self.same_environment if exact is None else exact
        worst, far = self.worst
        if exact and not self.bitwise_equal:
            return (
                "reject",
                f"the replay ends with other bits ({worst}: {far:.1e} away)",
            )
        if self.distances["weights"] > epsilon or far > PER_TENSOR * epsilon:
            return "reject", f"the replay ends {far:.1e} away in {worst}"
        if self._first_bad_step(exact) is not None:
            return "reject", "the logged losses are not those of the replay"
        return ("bitwise" if self.bitwise_equal else "tolerance"), ""

    @property
    def worst(self) -> tuple[str, float]:
        """Name of the tensor with the largest distance, and the distance."""
        name = max(self.distances, key=lambda name: self.distances[name])
        return name, self.distances[name]

    @property
    def first_bad_step(self) -> int | None:
        """First step at which training and replay differ, as far as the log tells."""
        return self._first_bad_step(self.same_environment)

    def _first_bad_step(self, exact: bool) -> int | None:
        if exact or self.bitwise_equal:
            return self.first_differing_step
        return self.first_step_beyond_rounding

    @property
    def location(self) -> str:
        """Location of the difference, as the end of a sentence."""
        if self.first_bad_step is None and not (
            self.same_environment or self.bitwise_equal
        ):
            return "; the log does not tell where"
        if self.first_bad_step is None:
            return "; the log is that of the replay, so the checkpoint was changed"
        return f"; they part at step {self.first_bad_step}"


def compare_replay(
    claims: Transcript, segment: int, moved: Movement, chunk: hs.Chunk
) -> ReplayComparison:
    """Compare a replayed segment with its claim.

    Args:
        claims: the transcript.
        segment: number of the segment, from 0.
        moved: claimed movement over the segment.
        chunk: chunk of the replay.
    """
    claimed = claims.state(chunk.stop)
    state = from_block(chunk.state)
    logged = claims.log[chunk.start : chunk.stop]
    rows = from_block(chunk.rows)
    loss, words = rows["loss"], rows["checksum"]
    same = loss.view(np.uint32) == logged["loss"].view(np.uint32)
    same &= (words == logged["checksum"]).all(axis=1)
    near = np.abs(loss - logged["loss"]) <= LOSS_TOLERANCE * np.maximum(1, np.abs(loss))
    return ReplayComparison(
        segment,
        (chunk.layout, chunk.environment) == claims.environments[segment],
        same_bits(state, claimed),
        distances(state, claimed, moved),
        _first_false(same, chunk.start),
        _first_false(near, chunk.start),
    )


def _first_false(passes: Bool[np.ndarray, " steps"], start: int) -> int | None:
    return None if passes.all() else start + int(np.argmin(passes)) + 1
