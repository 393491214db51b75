"""Small trainings under the protocol, and changes to their transcripts."""

from __future__ import annotations

from heliostat_tasks.provenance import Provenance
from heliostat_tasks.provenance.transcript import writer
from heliostat_tasks.provenance.transcript.signing import load_key, seal

SMALL = {"model": "mlp", "channels": 8, "layers": 1, "batch": 16, "held_out": 64}
TASK = Provenance(**SMALL, train=24, segment=6)


def reseal(folder, kind, change, key=None):
    """Change the body of an envelope, and sign it again."""
    name = f"{kind}.dsse.json"
    body = writer.read_envelope(folder, name, kind).body
    change(body)
    role = "verifier" if kind == "nonce" else "prover"
    (folder / name).write_bytes(seal(body, kind, key or load_key(role)))


def claim_other_environment(folder, *segments):
    """Claim another environment for these segments, or for all."""

    def change(body):
        table = body["environments"]
        table.append(table[0] | {"fingerprint": "0123"})
        for number, entry in enumerate(body["checkpoints"]):
            if number in segments or not segments:
                entry["environment"] = len(table) - 1

    reseal(folder, "transcript", change)
