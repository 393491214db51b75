"""Cost of verifying a training, beside the training itself.

    python benchmarks/provenance.py             # a training of five minutes, 16 in all
    python benchmarks/provenance.py --quick     # tiny, to see that it runs

A training is run on one worker, exported, and verified whole by one worker and by two:
signatures, digests, memorisation tests and replays of all segments.  Seconds of work
are those that workers spent in steps; wall times include Ray's start and compiling.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import heliostat as hs
from heliostat.driver.progress import silent
from heliostat_tasks.provenance import Provenance
from heliostat_tasks.provenance.transcript import file_format, writer
from heliostat_tasks.provenance.transcript.files import write_file
from heliostat_tasks.provenance.transcript.nonce import issue_nonce
from heliostat_tasks.provenance.transcript.signing import load_key
from heliostat_tasks.provenance.verify.audit import audit
from heliostat_tasks.provenance.verify.findings import AuditPolicy, ReplayPlace

LONG = {"train": 7500, "segment": 150}
QUICK = {"train": 200, "segment": 20}


def trained(task: Provenance, folder: Path) -> tuple[float, float]:
    """Wall time and seconds of work of a training; its transcript is in the folder."""
    task = writer.commit(task, task.data.tobytes(), folder, load_key("prover"))
    envelope = (folder / file_format.COMMITMENT).read_bytes()
    nonce = issue_nonce(envelope, load_key("verifier"), folder / "issued.jsonl")
    write_file(folder / file_format.NONCE, nonce)
    task = writer.committed_task(task, folder)
    began = time.perf_counter()
    store = str(folder / "store")
    run = hs.run(task, store=store, workers=1, gpus=0, progress=silent)
    wall = time.perf_counter() - began
    writer.export(run, folder, load_key("prover"))
    work = sum(e["seconds"] for e in run.events() if e["event"] == "committed")
    return wall, work


def verified(folder: Path, workers: int) -> float:
    """Wall time of an audit that must end with ACCEPT."""
    policy = AuditPolicy(issuers=(load_key("verifier").name,))
    began = time.perf_counter()
    result = audit(folder, folder / "work", policy, ReplayPlace("local", workers))
    wall = time.perf_counter() - began
    equal = sum(replay.bitwise_equal for replay in result.replays)
    assert result.verdict == "ACCEPT", result.reasons
    print(
        f"verified by {workers}: {wall:6.1f} s wall, {equal} of {len(result.moves)} "
        "segments bit for bit",
        flush=True,
    )
    return wall


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    sizes = QUICK if parser.parse_args().quick else LONG
    task = Provenance(**sizes)
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f}; {sizes}", flush=True)
    with tempfile.TemporaryDirectory() as place:
        os.environ["HELIOSTAT_KEYS"] = f"{place}/keys"
        wall, work = trained(task, Path(place) / "t")
        print(f"trained by 1:  {wall:6.1f} s wall, {work:.1f} s of work", flush=True)
        one, two = (verified(Path(place) / "t", workers) for workers in (1, 2))
    print(f"verification / training, one worker each: {one / wall:.3f} (wall)")
    print(f"two workers / one worker:                 {two / one:.3f} (wall)")


if __name__ == "__main__":
    main()
