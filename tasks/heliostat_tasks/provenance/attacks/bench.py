"""The bench: each attack is made and verified, and a table says what caught it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import heliostat as hs
from heliostat import Answer
from heliostat.driver.placement import Placement
from heliostat.system import device
from heliostat_tasks.provenance.attacks.adversary import Forger
from heliostat_tasks.provenance.attacks.attacks import ATTACKS, forge
from heliostat_tasks.provenance.transcript.formats import Refused
from heliostat_tasks.provenance.transcript.reader import transcript
from heliostat_tasks.provenance.transcript.signing import own_key
from heliostat_tasks.provenance.verify.audit import Audit, Policy, audit

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
    """All attacks, each made, replayed whole, and judged twice: as where bits must
    agree, and as where they cannot."""
    from heliostat.fleet.cluster import connect

    device.authenticate("local")
    rows, place = [], Placement("local", workers)
    trusted = own_key("verifier").name
    with connect("local", workers, None), tempfile.TemporaryDirectory() as work:
        policy = Policy(issuers=(trusted,), points=0, all_failures=True)
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
    epsilon = found.policy.epsilon
    here = [r for r in found.replays if r.judged(epsilon, True)[0] == "reject"]
    there = [r for r in found.replays if r.judged(epsilon, False)[0] == "reject"]
    about = " ".join((ATTACKS[name].__doc__ or "").split()).rstrip(".")
    row = {"attack": name, "what is done": about, "verdict": found.verdict}
    if not here:
        caught = "; ".join(found.reasons) or "nothing"
        more = (caught, "", "", found.verdict)
    else:
        far = f"{here[0].worst[1]:.1e}"
        parted = here[0].parted
        step = "none: the checkpoint" if parted is None else str(parted)
        elsewhere = "REJECT" if there else "ACCEPT, within epsilon"
        more = (f"replay of segment {here[0].segment + 1}", far, step, elsewhere)
    names = ("caught by", "distance", "first bad step", "in another environment")
    return row | dict(zip(names, more, strict=True))


def _markdown(rows: list[dict[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([row[n] for n in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
