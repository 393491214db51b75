"""``heliostat provenance VERB``: what provers, issuers and verifiers type."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import heliostat as hs
from heliostat import Answer
from heliostat.driver.placement import Placement
from heliostat_tasks.provenance import corpus
from heliostat_tasks.provenance.attacks import bench
from heliostat_tasks.provenance.cost import Budget
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript import writer as written
from heliostat_tasks.provenance.transcript.files import read
from heliostat_tasks.provenance.transcript.formats import LONGEST_JSON, Refused
from heliostat_tasks.provenance.transcript.signing import own_key
from heliostat_tasks.provenance.verify import calibration, report
from heliostat_tasks.provenance.verify.audit import Audit, Policy, audit

STATUS = {"ACCEPT": 0, "REJECT": 1, "INCONCLUSIVE": 3}


def commit(task: Provenance, *, out: Path, data: Path | None = None) -> Answer:
    """Write down and sign what will be trained on, and how: the first step.

    Args:
        out: Folder of the transcript.
        data: A folder of files to train on; default the standard library, or digits.
    """
    out = out.absolute()
    if (out / written.COMMITMENT).exists():
        raise hs.RequestError(f"{out} holds a commitment already")
    task = written.commit(task, _records(task, data), out, own_key("prover"))
    lines = [
        f"committed {len(task.data)} records in {out}",
        f"  next    heliostat provenance issue {out}  (whoever shall believe it)",
    ]
    return Answer(lines, {"path": str(out), "records": len(task.data)})


def issue(folder: Path, /) -> Answer:
    """Draw a nonce for a commitment and sign it: the verifier's part, before training.

    Args:
        folder: Folder of the transcript.
    """
    try:
        envelope = read(folder, written.COMMITMENT, LONGEST_JSON)
    except Refused as error:
        raise hs.RequestError(f"{folder} holds no commitment: {error}") from error
    key = own_key("verifier")
    written.write(folder / written.NONCE, written.issue(envelope, key))
    lines = [f"issued a nonce for {folder}", f"  issuer  {key.name}"]
    return Answer(lines, {"path": str(folder), "issuer": key.name})


def train(
    task: Provenance,
    *,
    out: Path,
    data: Path | None = None,
    store: str | None = None,
    on: str = "local",
    gpus: float | None = None,
) -> Answer:
    """Train under the protocol, and write the transcript.

    Where the folder holds a commitment and a nonce, they are used; else both are made,
    the nonce with this machine's own verifier key.

    Args:
        out: Folder of the transcript.
        data: A folder of files to train on; default the standard library, or digits.
        store: Folder of runs; default $HELIOSTAT_STORE, else ./runs.
        on: local (an own Ray), here (this process), auto, or an address.
        gpus: GPUs to train on; default all there are.
    """
    out = out.absolute()
    if (out / written.TRANSCRIPT).exists():
        raise hs.RequestError(f"{out} holds a transcript already")
    if not (out / written.COMMITMENT).exists():
        commit(task, out=out, data=data)
    elif data or task.records:
        raise hs.RequestError(
            f"{out} holds a commitment, with its data; leave out --data and --records"
        )
    if not (out / written.NONCE).exists():
        issue(out)
    task = written.committed(task, out)
    run = hs.run(task, store=store, on=on, workers=1, gpus=gpus)
    written.export(run, out, own_key("prover"))
    lines = [
        f"provenance {run.id}: {run.steps} steps, loss {run.headline['loss']}",
        f"  transcript  {out}",
        f"  verify      heliostat provenance verify {out}",
    ]
    about = {"id": run.id, "status": "complete", "path": str(out)}
    headline = {name: found._asdict() for name, found in run.headline.items()}
    return Answer(lines, about | {"headline": headline})


def verify(
    folder: Path,
    /,
    *,
    report: Path | None = None,
    segments: str = "all",
    epsilon: float = 1e-5,
    points: int | None = None,
    prover: str | None = None,
    issuer: tuple[str, ...] = (),
    challenge: str | None = None,
    memory: float = 4.0,
    seconds: float = 1800.0,
    hours: float = 24.0,
    all_failures: bool = False,
    on: str = "local",
    workers: int | None = None,
) -> Answer:
    """Check a transcript without trusting anything in it: ACCEPT, REJECT, INCONCLUSIVE.

    Args:
        folder: The transcript.
        report: Folder of the verifier's own; default FOLDER-report.
        segments: How many to replay, or all.
        epsilon: Largest distance allowed where bits cannot agree.
        points: Records that memorisation looks at, per segment; 0 is none.
        prover: The prover's public key, if it is known.
        issuer: Public keys that may issue nonces, besides this machine's own.
        challenge: 64 hexadecimal digits that decide the sample; default drawn now.
        memory: GiB that a worker may take; what runs here has no such limit.
        seconds: Time that a segment may take.
        hours: Time that all of it may take.
        all_failures: Go on after the first segment that fails.
        on: local (an own Ray), here (this process), auto, or an address.
        workers: Worker processes; default the whole machine or cluster.
    """
    if not folder.is_dir():
        raise hs.RequestError(f"{folder}: expected the folder of a transcript")
    folder = folder.resolve()
    if not 0 < epsilon < 1:
        raise hs.RequestError(f"epsilon {epsilon}: expected between 0 and 1")
    if points is not None and points < 0:
        raise hs.RequestError(f"points {points}: expected 0 or more")
    if not all(limit > 0 for limit in (memory, seconds, hours)):
        raise hs.RequestError("memory, seconds and hours: expected more than 0")
    policy = Policy(
        epsilon,
        _count(segments),
        points,
        _digits(prover, "prover") if prover else None,
        (own_key("verifier").name, *(_digits(key, "issuer") for key in issuer)),
        bytes.fromhex(_digits(challenge, "challenge")) if challenge else None,
        Budget(memory * 2**30, seconds, 3600 * hours),
        all_failures,
    )
    out = report or folder.with_name(folder.name + "-report")
    place = Placement(on, workers).checked()
    return _told(audited(folder, out, policy, place), folder, out)


def audited(folder: Path, out: Path, policy: Policy, place: Placement) -> Audit:
    """An audit, and its report in a folder of the verifier's own."""
    if out.is_symlink() or out.resolve() == folder.resolve():
        raise hs.RequestError(f"report {out}: expected a folder of the verifier's own")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".work-") as work:
        found = audit(folder, Path(work), policy, place, _say)
        report.publish(found, out, Path(work), own_key("verifier"))
    return found


def attack(
    name: str, /, *, transcript: Path, out: Path, workers: int | None = None
) -> Answer:
    """Write a dishonest transcript made from an honest one; all: also try each.

    Args:
        name: An attack, or all: then a table says what catches each.
        transcript: An honest transcript of this machine's prover.
        out: Folder of the dishonest one, or of all.
        workers: Worker processes that verify, with all.
    """
    if out.exists() and any(out.iterdir()):
        raise hs.RequestError(f"{out} is not empty")
    if name == "all":
        return bench.table(transcript, out, workers, _say)
    bench.forged(name, transcript, out)
    lines = [f"{name}: a dishonest transcript in {out}"]
    return Answer(lines, {"attack": name, "path": str(out)})


def calibrate(
    folder: Path, /, *, cores: int = 2, segments: int = 8, workers: int | None = None
) -> Answer:
    """Replay an honest transcript on other numbers of cores, and say which epsilon
    that calls for.

    Args:
        folder: A transcript that is known to be honest.
        cores: Cores of each replay; a worker trains on one.
        segments: How many to replay, early ones and late ones.
        workers: Replays at a time; default as many as the cores allow.
    """
    return calibration.measured(folder, cores, segments, workers, _say)


def _told(found: Audit, folder: Path, out: Path) -> Answer:
    replays = found.replays
    epsilon = found.policy.epsilon
    kinds = [replay.judged(epsilon)[0] for replay in replays]
    counted = ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds)))
    lines = [found.verdict, *(f"  {reason}" for reason in found.reasons)]
    if found.moves:
        total = len(found.moves)
        lines.append(f"  replayed  {len(replays)} of {total} segments: {counted}")
        if caught := report.scope(found)["catches"]:
            told = ", ".join(f"{n} bad: {p:.0%}" for n, p in caught.items())
            lines.append(f"  a sample  catches one of {told}")
    lines += [
        f"  flagged   segment {s + 1}: {', '.join(w)}" for s, w in found.flags.items()
    ]
    lines += ["  not established", *(f"    {w}" for w in report.not_established(found))]
    lines.append(f"  report    {out}")
    about = {
        "verdict": found.verdict,
        "reasons": found.reasons,
        "segments": len(found.moves),
        "replayed": [
            {
                "segment": replay.segment + 1,
                "class": kind,
                "distance": replay.worst[1],
            }
            for replay, kind in zip(replays, kinds, strict=True)
        ],
        "catches": report.scope(found)["catches"] if found.moves else {},
        "not_established": report.not_established(found),
        "transcript": str(folder),
        "report": str(out),
    }
    return Answer(lines, about, STATUS[found.verdict])


def _records(task: Provenance, data: Path | None) -> bytes:
    if data is None:
        return task.data.tobytes()
    if task.records:
        raise hs.RequestError("--data and --records: expected one of them")
    if task.model != "tiny-lm":
        raise hs.RequestError("--data is text, for tiny-lm; use --records for a file")
    text, width = corpus.folder(data), task.length + 1
    return text[: len(text) // width * width]


def _count(segments: str) -> int | Literal["all"]:
    if segments == "all":
        return "all"
    if segments.isdecimal() and int(segments) > 0:
        return int(segments)
    raise hs.RequestError(f"segments {segments}: expected a whole number, or all")


def _digits(text: str, what: str) -> str:
    """64 hexadecimal digits, in lower case: a key, or a challenge."""
    if len(text) == 64 and set(text.lower()) <= set("0123456789abcdef"):
        return text.lower()
    raise hs.RequestError(f"{what} {text}: expected 64 hexadecimal digits")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


VERBS: Mapping[str, Callable[..., Answer]] = {
    "commit": commit,
    "issue": issue,
    "train": train,
    "verify": verify,
    "attack": attack,
    "calibrate": calibrate,
}
