"""Small trainings under the protocol, and ways to spoil what they wrote."""

from __future__ import annotations

from heliostat_tasks.provenance import Provenance
from heliostat_tasks.provenance.transcript import writer
from heliostat_tasks.provenance.transcript.signing import load_key, seal

SMALL = {"model": "mlp", "channels": 8, "layers": 1, "batch": 16, "held_out": 64}
TASK = Provenance(**SMALL, train=24, segment=6)


def resealed(folder, kind, change, key=None):
    """Change what an envelope says, and sign it again."""
    name = f"{kind}.dsse.json"
    body = writer.read_envelope(folder, name, kind).body
    change(body)
    role = "verifier" if kind == "nonce" else "prover"
    (folder / name).write_bytes(seal(body, kind, key or load_key(role)))


def elsewhere(folder, *segments):
    """Claim that these segments, or all, were trained in another environment."""

    def change(body):
        known = body["environments"]
        known.append(known[0] | {"fingerprint": "0123"})
        for number, entry in enumerate(body["checkpoints"]):
            if number in segments or not segments:
                entry["environment"] = len(known) - 1

    resealed(folder, "transcript", change)
