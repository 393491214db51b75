"""All attacks by name, and the writing of a forged transcript.

An attacker has everything a prover has, its signing key included: it makes digests,
signatures and logs fit. It has neither the issuer's key nor a second preimage.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import heliostat as hs
from heliostat.errors import did_you_mean
from heliostat_tasks.provenance.attacks import checkpoints, segment
from heliostat_tasks.provenance.attacks.adversary import Adversary, Forgery
from heliostat_tasks.provenance.canonical import Refused
from heliostat_tasks.provenance.transcript.file_format import COMMITMENT, NONCE, RECORDS
from heliostat_tasks.provenance.transcript.files import write_file
from heliostat_tasks.provenance.transcript.reader import read_transcript
from heliostat_tasks.provenance.transcript.signing import load_key
from heliostat_tasks.provenance.transcript.writer import publish

ATTACKS: dict[str, Callable[[Adversary], Forgery]] = {
    "data-subtraction": segment.subtraction,
    "data-addition": segment.addition,
    "swapped-order": segment.order,
    "one-byte": segment.byte,
    "permuted-batch": segment.permutation,
    "skipped-step": segment.skipped_step,
    "learning-rate": segment.learning_rate,
    "weight-decay": segment.weight_decay,
    "fine-tune": segment.fine_tuning,
    "interpolation": checkpoints.interpolation,
    "glue": checkpoints.glue,
    "forged-init": checkpoints.forged_start,
    "dropped-moments": checkpoints.dropped_moments,
    "hidden-moments": checkpoints.hidden_moments,
    "stale-checkpoint": checkpoints.stale_checkpoint,
    "sub-epsilon-nudge": checkpoints.nudge,
    "seed-grinding": checkpoints.seed_grinding,
}


def forge(name: str, honest: Path, out: Path) -> None:
    """Write the forged transcript of an attack.

    Args:
        name: name of the attack.
        honest: an honest transcript of this machine's prover.
        out: folder of the forged one.

    Raises:
        RequestError: for an unreadable transcript, or an unknown attack.
    """
    with hs.connect("here"), tempfile.TemporaryDirectory() as work:
        try:
            claims = read_transcript(honest, Path(work) / "records.bin")
        except Refused as error:
            raise hs.RequestError(f"{honest}: {error}") from error
        _write(name, Adversary(claims, load_key("prover")), out)


def _write(name: str, adversary: Adversary, out: Path) -> None:
    if name not in ATTACKS:
        hint = did_you_mean(name, ATTACKS) or f"; expected {', '.join(ATTACKS)}"
        raise hs.RequestError(f"no attack '{name}'{hint}")
    forgery, folder = ATTACKS[name](adversary), adversary.claims.folder
    write_file(out / RECORDS, (folder / RECORDS).read_bytes())
    write_file(out / COMMITMENT, (folder / COMMITMENT).read_bytes())
    nonce = forgery.nonce or (folder / NONCE).read_bytes()
    write_file(out / NONCE, nonce)
    parts = (forgery.states, forgery.log, adversary.claims.environments)
    publish(forgery.task or adversary.task, *parts, out, adversary.key)
