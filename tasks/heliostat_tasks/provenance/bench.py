"""The bench: each attack is made and verified, and a table says what caught it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import heliostat as hs
from heliostat import Answer, device
from heliostat.drive import Place
from heliostat_tasks.provenance.attacks import ATTACKS, BELOW_TOLERANCE, Forger, forge
from heliostat_tasks.provenance.audit import Audit, Policy, audit
from heliostat_tasks.provenance.formats import Refused
from heliostat_tasks.provenance.reading import transcript
from heliostat_tasks.provenance.signing import own_key

TABLE = "attacks.md"
Tell = Callable[[str], None]


def forged(name: str, honest: Path, out: Path) -> None:
    """Write the transcript of one attack.

    Raises:
        RequestError: if the honest one cannot be read, or there is no such attack.
    """
    device.narrow()  # bits as a worker has them
    with tempfile.TemporaryDirectory() as work:
        try:
            claims = transcript(honest, Path(work) / "records.bin")
        except Refused as error:
            raise hs.RequestError(f"{honest}: {error}") from error
        forge(name, Forger(claims, own_key("prover")), out)


def table(honest: Path, out: Path, workers: int | None, tell: Tell) -> Answer:
    """All attacks, each made and verified twice: where bits agree, and where not."""
    from heliostat.fleet.cluster import connected

    device.authenticate("local")
    rows, place = [], Place("local", workers)
    trusted = own_key("verifier").name
    with connected("local", workers, None), tempfile.TemporaryDirectory() as work:
        policy = Policy(issuers=(trusted,), points=0)
        for name in ATTACKS:
            forged(name, honest, out / name)
            found = audit(out / name, Path(work), policy, place)
            rows.append(_row(name, found))
            tell(f"{name}: {found.verdict}, {rows[-1]['caught by']}")
    missed = [row["attack"] for row in rows if row["verdict"] == "ACCEPT"]
    (out / TABLE).write_text(_markdown(rows))
    lines = [_markdown(rows), f"in {out / TABLE}"]
    if missed:
        lines.append(f"not caught: {', '.join(missed)}")
    return Answer(lines, {"attacks": rows, "missed": missed}, 1 if missed else 0)


def _row(name: str, found: Audit) -> dict[str, str]:
    """What an audit of an attack says, in words for a table."""
    failed = next((r for r in found.replays if r.kind == "reject"), None)
    if failed is None:
        caught, far = "; ".join(found.reasons) or "nothing", ""
    else:
        caught, far = "replay", f"{max(failed.distances.values()):.1e}"
        if failed.distances["weights"] <= found.policy.epsilon:
            caught += ", by bits only"
    step = "" if failed is None else str(failed.first_bad_step or "checkpoint")
    about = (ATTACKS[name].__doc__ or "").split(".")[0]
    return {
        "attack": name,
        "what is done": " ".join(about.split()),
        "verdict": found.verdict,
        "caught by": caught,
        "distance": far,
        "first bad step": step,
        "elsewhere": "bounded" if name in BELOW_TOLERANCE else "caught too",
    }


def _markdown(rows: list[dict[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[n] for n in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
