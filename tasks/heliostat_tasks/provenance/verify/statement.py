"""Statement of a verifier: verdict and grounds, as an in-toto attestation.

It contains no times and no order of workers: the same transcript under the same policy
gives the same bytes on any number of processes.

Reference: in-toto attestation framework, Statement v1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heliostat_tasks.provenance.transcript.file_format import (
    TRANSCRIPT,
    checkpoint_steps,
)
from heliostat_tasks.provenance.verify.comparison import PER_TENSOR
from heliostat_tasks.provenance.verify.findings import Audit
from heliostat_tasks.provenance.verify.memorisation import QUANTILES
from heliostat_tasks.provenance.verify.sampling import detection_probability

PREDICATE = "urn:heliostat:provenance:report:v1"

NEVER = (
    "that no other training used other data: only this run was looked at",
    "that the data are what they claim to be, or harmless",
    "that the model in use is the one at the end of this transcript",
)
"""Limits of every verdict."""


def statement(audit: Audit) -> dict[str, Any]:
    """Make the in-toto statement of an audit."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": _subject(audit),
        "predicateType": PREDICATE,
        "predicate": _predicate(audit),
    }


def _subject(audit: Audit) -> list[dict[str, Any]]:
    claims = audit.claims
    if claims is None:
        return [{"name": TRANSCRIPT, "digest": {"sha256": audit.sha256}}]
    final = claims.entries[checkpoint_steps(claims.task)[-1]]
    return [
        {"name": "model", "digest": {"sha256": final["sha256"]}},
        {"name": "transcript", "digest": {"sha256": claims.digest}},
    ]


def _predicate(audit: Audit) -> dict[str, Any]:
    predicate = {
        "verdict": audit.verdict,
        "reasons": audit.reasons,
        "policy": _policy(audit),
        "notEstablished": not_established(audit),
    }
    if (claims := audit.claims) is not None:
        flags = sorted(audit.flags.items())
        predicate |= {
            "prover": claims.prover,
            "nonce": {n: claims.nonce[n] for n in ("issuer", "nonce", "sequence")},
            "environments": sorted(map(list, set(claims.environments))),
            "records": claims.records,
            "spec": claims.task.spec,
            "scope": scope(audit),
            "replays": [_replay(audit, i) for i in range(len(audit.replays))],
            "flags": {str(segment + 1): reasons for segment, reasons in flags},
            "memorisation": [_traces(audit, i) for i in range(len(audit.traces))],
        }
    return predicate


def not_established(audit: Audit) -> list[str]:
    """List claims that the verdict does not support."""
    claims = audit.claims
    if claims is None:
        return [*NEVER]
    limits = [*NEVER, *_unknown_identities(audit)]
    if claims.nonce["sequence"] > 1:
        limits.append(
            f"that the seed was not chosen among {claims.nonce['sequence']}: so many "
            "commitments of this prover, or to these data, were given nonces"
        )
    if not any(np.isfinite(traces.effect) for traces in audit.traces):
        limits.append(
            "whether training left traces: nobody looked for them, or there was "
            "nothing to compare with"
        )
    if left := len(audit.moves) - len(audit.replays):
        limits.append(f"what happened in {left} segments that were not replayed")
    return limits + _tolerated(audit)


def _unknown_identities(audit: Audit) -> list[str]:
    """Limits that follow from unknown keys of prover and issuer."""
    claims = audit.claims
    assert claims is not None
    limits = []
    if audit.policy.prover is None:
        limits.append("who the prover is: its key was not known from elsewhere")
    if claims.nonce["issuer"] not in audit.policy.issuers:
        limits.append("that the nonce came from somebody independent of the prover")
    if audit.policy.prover is None:
        limits.append(
            "that the seed was not chosen among nonces for data a little different, "
            "committed under other keys"
        )
    return limits


def _tolerated(audit: Audit) -> list[str]:
    """Limits of replays whose bits did not agree."""
    epsilon = audit.policy.epsilon
    loose = [r for r in audit.replays if r.classify(epsilon)[0] == "tolerance"]
    if not loose or audit.claims is None:
        return []
    way = sum(audit.moves[r.segment].total for r in loose)
    environments = len({audit.claims.environments[r.segment] for r in loose})
    return [
        "that records of a batch were seen in the order claimed, that checkpoints were "
        "not nudged, and what the log says below 1e-4 of a loss, in "
        f"{len(loose)} segments that claim {environments} other environments: a "
        f"checkpoint may be off by epsilon = {epsilon:g} of its segment's movement in "
        f"all weights ({epsilon * way:.3g} summed over these segments) and by "
        f"{PER_TENSOR * epsilon:.1g} in a tensor or moment; what later training makes "
        "of that is not bounded"
    ]


def scope(audit: Audit) -> dict[str, Any]:
    """Describe the replays that were planned, and their power to catch bad segments."""
    total, replayed = len(audit.moves), len(audit.plan)
    challenge = audit.policy.challenge
    forced = {0, total - 1, *audit.flags} if challenge else set()
    rest, drawn = total - len(forced), max(0, replayed - len(forced))
    return {
        "segments": total,
        "planned": [segment + 1 for segment in audit.plan],
        "challenge": challenge.hex() if challenge else None,
        "catches": {
            str(bad): detection_probability(rest, drawn, bad)
            for bad in (1, 2, 4, 8)
            if bad <= rest and total
        },
    }


def _policy(audit: Audit) -> dict[str, Any]:
    policy = audit.policy
    return {
        "epsilon": policy.epsilon,
        "budget": policy.budget._asdict(),
        "issuers": sorted(policy.issuers),
        "points": policy.points,
        "prover": policy.prover,
        "segments": policy.segments,
    }


def _replay(audit: Audit, index: int) -> dict[str, Any]:
    replay = audit.replays[index]
    worst, far = replay.worst
    kind, reason = replay.classify(audit.policy.epsilon)
    return {
        "segment": replay.segment + 1,
        "class": kind,
        "reason": reason,
        "firstBadStep": replay.first_bad_step,
        "weights": replay.distances["weights"],
        "worst": {"tensor": worst, "distance": far},
    }


def _traces(audit: Audit, index: int) -> dict[str, Any]:
    traces = audit.traces[index]
    return {
        "segment": index + 1,
        "effect": traces.effect,
        "auc": traces.auc,
        "quantiles": list(QUANTILES),
        "fbq": list(traces.fbq),
        "lambdaUpper95": list(traces.bound),
        "p": traces.p_value,
        "pAdjusted": float(audit.adjusted[index]),
    }
