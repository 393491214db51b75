"""Attacks on checkpoints and on the seed.

References: Choi et al., arXiv:2307.00682 [glue]; Fang et al., arXiv:2208.03567
[interpolation]; Zhang et al., IEEE S&P 2022.
"""

from __future__ import annotations

import secrets
from dataclasses import replace

import numpy as np

from heliostat_tasks.provenance.attacks.adversary import (
    Adversary,
    Forgery,
    other_start,
)
from heliostat_tasks.provenance.canonical import sha256
from heliostat_tasks.provenance.transcript.file_format import (
    COMMITMENT,
    Tensors,
    initial_tensors,
)
from heliostat_tasks.provenance.transcript.signing import seal
from heliostat_tasks.provenance.transcript.writer import read_envelope
from heliostat_tasks.provenance.verify.distances import movement


def interpolation(adversary: Adversary) -> Forgery:
    """Every checkpoint on the line from the first weights to the last."""
    forgery = adversary.honest()
    first, last = forgery.states[0], forgery.states[adversary.ends[-1]]
    for step in adversary.ends[1:-1]:
        share = np.float32(step / adversary.ends[-1])
        between = {n: (1 - share) * first[n] + share * last[n] for n in first}
        between = {n: a.astype(first[n].dtype) for n, a in between.items()}
        forgery.states[step] = between | {"step": np.asarray(step, np.int32)}
    return forgery


def glue(adversary: Adversary) -> Forgery:
    """The second half is that of another training, begun elsewhere."""
    forgery = adversary.honest()
    start = other_start(adversary.task, secrets.token_bytes(32))
    other = adversary.train_on(adversary.honest(), 0, start)
    for step in adversary.ends:
        if step >= adversary.stop:
            forgery.states[step] = other.states[step]
    forgery.log[adversary.stop :] = other.log[adversary.stop :]
    return forgery


def forged_start(adversary: Adversary) -> Forgery:
    """First weights of one's own choice, honest training from there."""
    start = other_start(adversary.task, secrets.token_bytes(32))
    return adversary.train_on(adversary.honest(), 0, start)


def dropped_moments(adversary: Adversary) -> Forgery:
    """A checkpoint without the moments of the optimiser."""
    forgery = adversary.honest()
    state = forgery.states[adversary.stop]
    zeros = {n: np.zeros_like(a) for n, a in state.items() if n[:2] in ("mu", "nu")}
    forgery.states[adversary.stop] = state | zeros
    return forgery


def hidden_moments(adversary: Adversary) -> Forgery:
    """The least second moments of a checkpoint are zero: nothing in its norm, and in
    the next step their weights go wherever the first moments point."""
    before, after = _middle(adversary)
    moved, state = movement(before, after), dict(after)
    for name, length in moved.lengths.items():
        if name.startswith("nu."):
            values = after[name].ravel().copy()
            least = np.argsort(values)
            room = np.cumsum(values[least].astype(float) ** 2) < (5e-5 * length) ** 2
            values[least[room]] = 0
            state[name] = values.reshape(after[name].shape)
    return adversary.replace_middle(state)


def stale_checkpoint(adversary: Adversary) -> Forgery:
    """A checkpoint that is the one before it, once more."""
    forgery = adversary.honest()
    step = {"step": np.asarray(adversary.stop, np.int32)}
    forgery.states[adversary.stop] = forgery.states[adversary.start] | step
    return forgery


def nudge(adversary: Adversary) -> Forgery:
    """A checkpoint moved by a millionth of its segment's way, towards a goal."""
    before, after = _middle(adversary)
    moved = movement(before, after)
    nudged = dict(after)
    for name, length in moved.lengths.items():
        if name.startswith("params."):
            goal = np.sign(after[name]) / max(after[name].size, 1) ** 0.5
            nudged[name] = (after[name] + 1e-6 * length * goal).astype(np.float32)
    return adversary.replace_middle(nudged)


def seed_grinding(adversary: Adversary) -> Forgery:
    """The best of many nonces that the prover drew itself, signed by itself."""
    nonces = [secrets.token_hex(32) for _ in range(16)]

    def first_record(nonce: str) -> int:  # any function of the order would do
        return int(replace(adversary.task, nonce=nonce).order[0])

    best = min(nonces, key=first_record)
    task = replace(adversary.task, nonce=best)
    commitment = read_envelope(adversary.claims.folder, COMMITMENT, "commitment")
    body = adversary.claims.nonce | {
        "commitment": sha256(commitment.content),
        "issuer": adversary.key.name,
        "nonce": best,
    }
    envelope = seal(body, "nonce", adversary.key)
    forgery = adversary.honest()._replace(nonce=envelope, task=task)
    return adversary.train_on(forgery, 0, initial_tensors(task))


def _middle(adversary: Adversary) -> tuple[Tensors, Tensors]:
    """States at both ends of the middle segment."""
    claims = adversary.claims
    return claims.state(adversary.start), claims.state(adversary.stop)
