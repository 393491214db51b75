"""Policy of a verifier, and the findings of an audit under it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from heliostat_tasks.provenance.cost import ReplayBudget
from heliostat_tasks.provenance.transcript.reader import Transcript
from heliostat_tasks.provenance.verify.comparison import ReplayComparison
from heliostat_tasks.provenance.verify.distances import Movement
from heliostat_tasks.provenance.verify.memorisation import Traces

Decision = Literal["ACCEPT", "REJECT", "INCONCLUSIVE"]


class AuditPolicy(NamedTuple):
    """Demands of a verifier; none of them is read from a transcript."""

    epsilon: float = 1e-5  # largest distance in another environment
    segments: int | Literal["all"] = "all"
    points: int | None = None  # records per test of memorisation; 0 is no test
    prover: str | None = None  # public key, if it is known
    issuers: tuple[str, ...] = ()  # public keys of trusted issuers of nonces
    challenge: bytes | None = None  # seed of the sample; default drawn now
    budget: ReplayBudget = ReplayBudget()
    all_failures: bool = False  # go on after the first REJECT


class ReplayPlace(NamedTuple):
    """Place of the replays, as options of :func:`heliostat.replay`."""

    on: str = "local"
    workers: int | None = None
    gpus: float | None = None


class Audit(NamedTuple):
    """Findings, from which report and verdict follow."""

    verdict: Decision
    reasons: list[str]
    policy: AuditPolicy
    sha256: str = ""  # SHA-256 of the last envelope, unchecked
    claims: Transcript | None = None
    moves: list[Movement] = []
    traces: list[Traces] = []
    adjusted: np.ndarray = np.zeros(0)  # p-values of the traces, after Holm
    memorisation: np.ndarray = np.zeros((0, 0))  # (checkpoint, plotted) M, nats
    plotted: np.ndarray = np.zeros(0, int)  # segments of the plot
    flags: dict[int, list[str]] = {}
    plan: list[int] = []
    replays: list[ReplayComparison] = []
