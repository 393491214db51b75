"""Benchmark of the verifier: every attack is made and audited."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import heliostat as hs
from heliostat_tasks.provenance.attacks.catalog import ATTACKS, forge
from heliostat_tasks.provenance.transcript.signing import load_key
from heliostat_tasks.provenance.verify.audit import audit
from heliostat_tasks.provenance.verify.findings import Audit, AuditPolicy, ReplayPlace

TABLE = "attacks.md"


def run_attacks(
    honest: Path, out: Path, workers: int | None, on_line: Callable[[str], None]
) -> hs.Answer:
    """Make every attack, replay it whole, and judge it with and without equal bits.

    Args:
        honest: an honest transcript of this machine's prover.
        out: folder of the forged ones, and of the table.
        workers: workers of the audits; default the whole machine.
        on_line: receives a line per attack.
    """
    rows, place = [], ReplayPlace("local", workers)
    issuers = (load_key("verifier").name,)
    policy = AuditPolicy(issuers=issuers, points=0, all_failures=True)
    with hs.connect("local", workers), tempfile.TemporaryDirectory() as work:
        for name in ATTACKS:
            forge(name, honest, out / name)
            result = audit(out / name, Path(work), policy, place)
            rows.append(_row(name, result))
            on_line(f"{name}: {result.verdict}, {rows[-1]['caught by']}")
    missed = [row["attack"] for row in rows if row["verdict"] == "ACCEPT"]
    (out / TABLE).write_text(_markdown(rows))
    lines = [_markdown(rows), f"in {out / TABLE}"]
    if missed:
        lines.append(f"not caught: {', '.join(missed)}")
    return hs.Answer(lines, {"attacks": rows, "missed": missed}, 1 if missed else 0)


def _row(name: str, result: Audit) -> dict[str, str]:
    """Row of the table: the attack, the verdict, and the evidence."""
    epsilon = result.policy.epsilon
    exact = [r for r in result.replays if r.classify(epsilon, True)[0] == "reject"]
    loose = [r for r in result.replays if r.classify(epsilon, False)[0] == "reject"]
    about = " ".join((ATTACKS[name].__doc__ or "").split()).rstrip(".")
    row = {"attack": name, "what is done": about, "verdict": result.verdict}
    if not exact:
        reasons = "; ".join(result.reasons) or "nothing"
        evidence = (reasons, "", "", result.verdict)
    else:
        first = exact[0]
        step = first.first_bad_step
        evidence = (
            f"replay of segment {first.segment + 1}",
            f"{first.worst[1]:.1e}",
            "none: the checkpoint" if step is None else str(step),
            "REJECT" if loose else "ACCEPT, within epsilon",
        )
    names = ("caught by", "distance", "first bad step", "in another environment")
    return row | dict(zip(names, evidence, strict=True))


def _markdown(rows: list[dict[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[n] for n in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
