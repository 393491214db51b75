"""Small trainings under the protocol, and ways to spoil what they wrote."""

from __future__ import annotations

from heliostat_tasks.provenance import Provenance
from heliostat_tasks.provenance import transcript as written
from heliostat_tasks.provenance.signing import own_key, sealed

SMALL = {"model": "mlp", "channels": 8, "layers": 1, "batch": 16, "held_out": 64}
TASK = Provenance(**SMALL, train=24, segment=6)


def resealed(folder, kind, change, key=None):
    """Change what an envelope says, and sign it again."""
    name = f"{kind}.dsse.json"
    body = written.contents(folder, name, kind).body
    change(body)
    role = "verifier" if kind == "nonce" else "prover"
    (folder / name).write_bytes(sealed(body, kind, key or own_key(role)))


def elsewhere(folder):
    """Claim that the training ran in another environment."""
    change = lambda body: body["environment"].update(fingerprint="0123")  # noqa: E731
    resealed(folder, "transcript", change)
