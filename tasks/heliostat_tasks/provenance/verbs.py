"""Commands of ``heliostat provenance``, for provers, issuers and verifiers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import heliostat as hs
from heliostat import Answer
from heliostat.answer import command
from heliostat_tasks.provenance import corpus
from heliostat_tasks.provenance.attacks import bench, catalog
from heliostat_tasks.provenance.canonical import MAX_JSON, Refused
from heliostat_tasks.provenance.cost import ReplayBudget
from heliostat_tasks.provenance.task import Provenance
from heliostat_tasks.provenance.transcript import writer
from heliostat_tasks.provenance.transcript.file_format import (
    COMMITMENT,
    NONCE,
    TRANSCRIPT,
)
from heliostat_tasks.provenance.transcript.files import read_file, write_file
from heliostat_tasks.provenance.transcript.nonce import issue_nonce
from heliostat_tasks.provenance.transcript.signing import load_key
from heliostat_tasks.provenance.verify import calibration
from heliostat_tasks.provenance.verify.audit import audit
from heliostat_tasks.provenance.verify.findings import Audit, AuditPolicy, ReplayPlace
from heliostat_tasks.provenance.verify.report import publish_report
from heliostat_tasks.provenance.verify.statement import not_established, scope

STATUS = {"ACCEPT": 0, "REJECT": 1, "INCONCLUSIVE": 3}


def commit(task: Provenance, *, out: Path, data: Path | None = None) -> Answer:
    """Write and sign a commitment to data and fields: the prover's first step.

    Args:
        out: Folder of the transcript.
        data: A folder of files to train on; default the standard library, or digits.
    """
    out = out.absolute()
    if (out / COMMITMENT).exists():
        raise hs.RequestError(f"{out} holds a commitment already")
    task = writer.commit(task, _records(task, data), out, load_key("prover"))
    lines = [
        f"committed {len(task.data)} records in {out}",
        f"  the verifier's part  {command('provenance', 'issue', out)}",
    ]
    return Answer(lines, {"path": str(out), "records": len(task.data)})


def issue(folder: Path, /) -> Answer:
    """Draw and sign a nonce for a commitment: the verifier's part, before training.

    Args:
        folder: Folder of the transcript.
    """
    try:
        envelope = read_file(folder, COMMITMENT, MAX_JSON)
    except Refused as error:
        raise hs.RequestError(f"{folder} holds no commitment: {error}") from error
    key = load_key("verifier")
    write_file(folder / NONCE, issue_nonce(envelope, key))
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

    A commitment and a nonce in the folder are used. Missing ones are made, the nonce
    with this machine's own verifier key.

    Args:
        out: Folder of the transcript.
        data: A folder of files to train on; default the standard library, or digits.
        store: Folder of runs; default $HELIOSTAT_STORE, else ./runs.
        on: local (a Ray of its own), here (this process), auto, or an address.
        gpus: GPUs to train on; default all there are.
    """
    out = out.absolute()
    if (out / TRANSCRIPT).exists():
        raise hs.RequestError(f"{out} holds a transcript already")
    if not (out / COMMITMENT).exists():
        commit(task, out=out, data=data)
    elif data or task.records:
        raise hs.RequestError(
            f"{out} holds a commitment, with its data; leave out --data and --records"
        )
    if not (out / NONCE).exists():
        issue(out)
    task = writer.committed_task(task, out)
    run = hs.run(task, store=store, on=on, workers=1, gpus=gpus)
    writer.export(run, out, load_key("prover"))
    lines = [
        f"provenance {run.id}: {run.steps} steps, loss {run.headline['loss']}",
        f"  transcript  {out}",
        f"  verify      {command('provenance', 'verify', out)}",
    ]
    about = {"id": run.id, "status": "complete", "path": str(out)}
    headline = {name: estimate._asdict() for name, estimate in run.headline.items()}
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
        segments: Number of segments to replay, or all.
        epsilon: Largest distance allowed where bits cannot agree.
        points: Records per test of memorisation; 0 is no test.
        prover: The prover's public key, if it is known.
        issuer: Public keys of trusted issuers of nonces, besides this machine's own.
        challenge: 64 hexadecimal digits that determine the sample; default drawn now.
        memory: GiB that a worker may take; --on here has no such limit.
        seconds: Time that a segment may take.
        hours: Time that the whole audit may take.
        all_failures: Go on after the first segment that fails.
        on: local (a Ray of its own), here (this process), auto, or an address.
        workers: Number of workers; default the whole machine or cluster.
    """
    if not folder.is_dir():
        raise hs.RequestError(f"{folder}: expected the folder of a transcript")
    folder = folder.resolve()
    _check_limits(epsilon, points, (memory, seconds, hours))
    policy = AuditPolicy(
        epsilon,
        _count(segments),
        points,
        _digits(prover, "prover") if prover else None,
        (load_key("verifier").name, *(_digits(key, "issuer") for key in issuer)),
        bytes.fromhex(_digits(challenge, "challenge")) if challenge else None,
        ReplayBudget(memory * 2**30, seconds, 3600 * hours),
        all_failures,
    )
    place = ReplayPlace(on, workers)
    hs.replay(Provenance(), (), **place._asdict())  # checks the place now
    out = report or folder.with_name(folder.name + "-report")
    return _answer(audit_and_report(folder, out, policy, place), folder, out)


def audit_and_report(
    folder: Path, out: Path, policy: AuditPolicy, place: ReplayPlace
) -> Audit:
    """Audit a transcript, and write the report to a folder of the verifier's own."""
    if out.is_symlink() or out.resolve() == folder.resolve():
        raise hs.RequestError(f"report {out}: expected a folder of the verifier's own")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".work-") as work:
        result = audit(folder, Path(work), policy, place, _print)
        publish_report(result, out, Path(work), load_key("verifier"))
    return result


def attack(
    name: str, /, *, transcript: Path, out: Path, workers: int | None = None
) -> Answer:
    """Forge a transcript from an honest one; all: forge and audit every attack.

    Args:
        name: An attack, or all, for a table of the evidence against each.
        transcript: An honest transcript of this machine's prover.
        out: Folder of the forged transcript, or of all.
        workers: Number of workers of the audits, with all.
    """
    if out.exists() and any(out.iterdir()):
        raise hs.RequestError(f"{out} is not empty")
    if name == "all":
        return bench.run_attacks(transcript, out, workers, _print)
    catalog.forge(name, transcript, out)
    lines = [f"{name}: a dishonest transcript in {out}"]
    return Answer(lines, {"attack": name, "path": str(out)})


def calibrate(
    folder: Path, /, *, cores: int = 2, segments: int = 8, workers: int | None = None
) -> Answer:
    """Replay an honest transcript on other numbers of cores, and derive epsilon.

    Args:
        folder: A transcript that is known to be honest.
        cores: Cores of each replay; a worker trains on one.
        segments: Number of segments to replay, spread over the training.
        workers: Replays at a time; default as many as the cores allow.
    """
    return calibration.calibrate_epsilon(folder, cores, segments, workers, _print)


def _answer(result: Audit, folder: Path, out: Path) -> Answer:
    kinds = [replay.classify(result.policy.epsilon)[0] for replay in result.replays]
    catches = scope(result)["catches"] if result.moves else {}
    about = {
        "verdict": result.verdict,
        "reasons": result.reasons,
        "segments": len(result.moves),
        "replayed": [
            {
                "segment": replay.segment + 1,
                "class": kind,
                "distance": replay.worst[1],
            }
            for replay, kind in zip(result.replays, kinds, strict=True)
        ],
        "catches": catches,
        "not_established": not_established(result),
        "transcript": str(folder),
        "report": str(out),
    }
    lines = [*_lines(result, kinds, catches), f"  report    {out}"]
    return Answer(lines, about, STATUS[result.verdict])


def _lines(result: Audit, kinds: list[Any], catches: Mapping[str, float]) -> list[str]:
    """The answer for a person."""
    lines = [result.verdict, *(f"  {reason}" for reason in result.reasons)]
    if total := len(result.moves):
        counts = ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds)))
        lines.append(f"  replayed  {len(kinds)} of {total} segments: {counts}")
    if catches:
        chances = ", ".join(f"{n} bad: {p:.0%}" for n, p in catches.items())
        lines.append(f"  a sample  catches one of {chances}")
    lines += [
        f"  flagged   segment {segment + 1}: {', '.join(reasons)}"
        for segment, reasons in result.flags.items()
    ]
    limits = (f"    {limit}" for limit in not_established(result))
    return [*lines, "  not established", *limits]


def _check_limits(
    epsilon: float, points: int | None, limits: tuple[float, ...]
) -> None:
    if not 0 < epsilon < 1:
        raise hs.RequestError(f"epsilon {epsilon}: expected between 0 and 1")
    if points is not None and points < 0:
        raise hs.RequestError(f"points {points}: expected 0 or more")
    if not all(limit > 0 for limit in limits):
        raise hs.RequestError("memory, seconds and hours: expected more than 0")


def _records(task: Provenance, data: Path | None) -> bytes:
    if data is None:
        return task.data.tobytes()
    if task.records:
        raise hs.RequestError("--data and --records: expected one of them")
    if task.model != "tiny-lm":
        raise hs.RequestError("--data is text, for tiny-lm; use --records for a file")
    text, width = corpus.read_folder(data), task.length + 1
    return text[: len(text) // width * width]


def _count(segments: str) -> int | Literal["all"]:
    if segments == "all":
        return "all"
    if segments.isdecimal() and int(segments) > 0:
        return int(segments)
    raise hs.RequestError(f"segments {segments}: expected a whole number, or all")


def _digits(text: str, name: str) -> str:
    """Return 64 hexadecimal digits, in lower case: a key, or a challenge."""
    if len(text) == 64 and set(text.lower()) <= set("0123456789abcdef"):
        return text.lower()
    raise hs.RequestError(f"{name} {text}: expected 64 hexadecimal digits")


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


VERBS: Mapping[str, Callable[..., Answer]] = {
    "commit": commit,
    "issue": issue,
    "train": train,
    "verify": verify,
    "attack": attack,
    "calibrate": calibrate,
}
