"""One replayed segment beside what was claimed: equal bits, near enough, or neither."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from heliostat.loop.work import Chunk
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.verify.distances import Movement, distances, same_bits

LOSS_TOLERANCE = 1e-4
"""Of a logged loss in another environment, relative."""

PER_TENSOR = 10.0
"""A single tensor may be so many ε away: rounding gathers in small ones."""

Kind = Literal["bitwise", "tolerance", "reject"]


class Replay(NamedTuple):
    """What the replay of one segment found."""

    segment: int
    exact: bool  # whether bits can be expected to agree: the same environment
    equal: bool  # whether they do, of the state at the end
    distances: dict[str, float]  # of each tensor, and of "weights"
    differs: int | None  # the first step whose log has other bits
    strays: int | None  # the first step whose logged loss is further than rounding

    def judged(self, epsilon: float, exact: bool | None = None) -> tuple[Kind, str]:
        """How it counts, and why, where bits must agree or where they cannot."""
        exact = self.exact if exact is None else exact
        worst, far = self.worst
        if exact and not self.equal:
            return (
                "reject",
                f"the replay ends with other bits ({worst}: {far:.1e} away)",
            )
        if self.distances["weights"] > epsilon or far > PER_TENSOR * epsilon:
            return "reject", f"the replay ends {far:.1e} away in {worst}"
        if (self.differs if exact or self.equal else self.strays) is not None:
            return "reject", "the logged losses are not those of the replay"
        return ("bitwise" if self.equal else "tolerance"), ""

    @property
    def worst(self) -> tuple[str, float]:
        """The tensor that is furthest away, and how far."""
        name = max(self.distances, key=lambda name: self.distances[name])
        return name, self.distances[name]

    @property
    def place(self) -> str:
        """Where it went wrong, as the end of a sentence."""
        if self.parted is None and not (self.exact or self.equal):
            return "; the log does not tell where"
        if self.parted is None:
            return "; the log is that of the replay, so the checkpoint was changed"
        return f"; they part at step {self.parted}"

    @property
    def parted(self) -> int | None:
        """The step at which training and replay parted, as far as the log tells."""
        return self.differs if self.exact or self.equal else self.strays


def compared(claims: Transcript, segment: int, moved: Movement, chunk: Chunk) -> Replay:
    """A replayed segment beside the claim."""
    claimed = claims.state(chunk.stop)
    state = {name: array[0, 0] for name, array in chunk.state.items()}
    logged = claims.log[chunk.start : chunk.stop]
    loss, words = (chunk.rows[name][0, 0] for name in ("loss", "checksum"))
    same = loss.view(np.uint32) == logged["loss"].view(np.uint32)
    same &= (words == logged["checksum"]).all(axis=1)
    near = np.abs(loss - logged["loss"]) <= LOSS_TOLERANCE * np.maximum(1, np.abs(loss))
    return Replay(
        segment,
        (chunk.layout, chunk.environment) == claims.environments[segment],
        same_bits(state, claimed),
        distances(state, claimed, moved),
        _first_not(same, chunk.start),
        _first_not(near, chunk.start),
    )


def _first_not(fine: np.ndarray, start: int) -> int | None:
    return None if fine.all() else start + int(np.argmin(fine)) + 1
