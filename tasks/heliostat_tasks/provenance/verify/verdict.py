"""Verdict of an audit: a contradiction, agreement everywhere, or neither."""

from __future__ import annotations

from collections import Counter

from heliostat_tasks.provenance.transcript.file_format import segments
from heliostat_tasks.provenance.verify.findings import Audit


def judge(audit: Audit) -> Audit:
    """Decide the verdict from the replays, and name the reasons."""
    claims = audit.claims
    assert claims is not None
    ends = segments(claims.task)
    rejected = [
        f"segment {r.segment + 1} (steps {a + 1} to {b}): {reason}{r.location}"
        for r in audit.replays
        for a, b in [ends[r.segment]]
        for kind, reason in [r.classify(audit.policy.epsilon)]
        if kind == "reject"
    ]
    if rejected:
        return audit._replace(verdict="REJECT", reasons=rejected)
    open_ends = [*audit.reasons, *doubts(audit)]
    if claims.nonce["issuer"] not in audit.policy.issuers:
        open_ends.append(
            "nobody whom this verifier trusts issued the nonce, so the seed may have "
            f"been chosen; --issuer {claims.nonce['issuer']} trusts that key"
        )
    if len(audit.replays) < len(audit.plan) and not open_ends:
        open_ends.append("not every segment that was planned was replayed")
    verdict = "INCONCLUSIVE" if open_ends else "ACCEPT"
    return audit._replace(verdict=verdict, reasons=open_ends)


def doubts(audit: Audit) -> list[str]:
    """Name segments with other bits whose environment mostly replays bit for bit.

    A segment that claims another environment is judged within ε. Where the bits of its
    environment agree as a rule, an exception is not rounding. It is no contradiction
    either, so the verdict stays open.
    """
    claims = audit.claims
    assert claims is not None
    claimed = claims.environments
    loose = [r for r in audit.replays if not r.same_environment]
    total = Counter(claimed[r.segment] for r in loose)
    equal = Counter(claimed[r.segment] for r in loose if r.bitwise_equal)
    return [
        f"segment {r.segment + 1} ends with other bits, within epsilon, though most "
        "segments of the same environment replay bit for bit"
        for r in loose
        if not r.bitwise_equal
        and 2 * equal[claimed[r.segment]] > total[claimed[r.segment]]
    ]
