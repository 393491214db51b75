"""Dishonest transcripts, made from an honest one: what a verifier has to withstand.

Each attack is what a cheating prover would do with everything it has, its signing key
included: digests, signatures and logs are made to fit.  Only what cannot be had is
missing: the issuer's key, and a second preimage.

References: Choi et al., arXiv:2307.00682 [subtraction, addition, order, glue]; Fang et
al., arXiv:2208.03567 [interpolation]; Zhang et al., IEEE S&P 2022.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import heliostat as hs
from heliostat.system.jit import jit
from heliostat_tasks.provenance.attacks.adversary import (
    Forger,
    Forgery,
    started,
    state_of,
    tensors_of,
)
from heliostat_tasks.provenance.transcript import writer
from heliostat_tasks.provenance.transcript.formats import sha256
from heliostat_tasks.provenance.transcript.signing import opened, sealed
from heliostat_tasks.provenance.transcript.writer import COMMITMENT, NONCE, RECORDS
from heliostat_tasks.provenance.verify.distances import movement


def forge(name: str, forger: Forger, out: Path) -> None:
    """Write the transcript of an attack.

    Raises:
        RequestError: for a name that is none, with a suggestion.
    """
    if name not in ATTACKS:
        from heliostat.errors import did_you_mean

        hint = did_you_mean(name, ATTACKS) or f"; expected {', '.join(ATTACKS)}"
        raise hs.RequestError(f"no attack '{name}'{hint}")
    forged, folder = ATTACKS[name](forger), forger.claims.folder
    writer.write(out / RECORDS, (folder / RECORDS).read_bytes())
    writer.write(out / COMMITMENT, (folder / COMMITMENT).read_bytes())
    nonce = forged.nonce or (folder / NONCE).read_bytes()
    writer.write(out / NONCE, nonce)
    task = forged.task or forger.task
    parts = (forged.states, forged.log, forger.claims.environments)
    writer.publish(task, *parts, out, forger.key)


# -- other data --------------------------------------------------------------------


def subtraction(forger: Forger) -> Forgery:
    """A tenth of the records is never seen: others stand twice in their place."""
    batches = forger.batches()
    for batch in batches:
        missing = max(1, len(batch) // 10)
        batch[:missing] = batch[-missing:]
    return forger.trained(batches)


def addition(forger: Forger) -> Forgery:
    """One more step, on a batch that was never declared."""
    batches = forger.batches()
    secret = 255 - batches[0]
    if forger.task.model == "mlp":
        secret[:, -1] = batches[0][:, -1]
    middle = len(batches) // 2
    return forger.trained([*batches[:middle], secret, *batches[middle:]])


def order(forger: Forger) -> Forgery:
    """Two batches change places."""
    if forger.stop - forger.start < 2:
        raise hs.RequestError("swapped-order: expected segments of two steps or more")
    first, second, *rest = forger.batches()
    return forger.trained([second, first, *rest])


def byte(forger: Forger) -> Forgery:
    """One byte of one record is another one."""
    batches = forger.batches()
    batches[len(batches) // 2][0, 0] ^= 1
    return forger.trained(batches)


def permutation(forger: Forger) -> Forgery:
    """The records of one batch in another order: the same gradient, other rounding."""
    batches = forger.batches()
    batches[0] = batches[0][::-1]
    return forger.trained(batches)


# -- other training ----------------------------------------------------------------


def skipped(forger: Forger) -> Forgery:
    """One step is not taken."""
    batches = forger.batches()
    del batches[len(batches) // 2]
    return forger.trained(batches)


def learning_rate(forger: Forger) -> Forgery:
    """A learning rate that is 0.1 % higher than declared."""
    return forger.trained(forger.batches(), lr=1.001)


def weight_decay(forger: Forger) -> Forgery:
    """A weight decay that is 1 % stronger than declared."""
    return forger.trained(forger.batches(), decay=1.01)


def fine_tune(forger: Forger) -> Forgery:
    """After the segment, a few small steps on records that it claims: those leave the
    traces that memorisation looks for."""
    batches = forger.batches()
    state = state_of(forger.trained(batches).states[forger.stop])
    update = jit(lambda s, b: forger.task.update(s, b, 0.1))
    for batch in batches[-3:]:
        state, _ = update(state, batch)
    return forger.carried_on(tensors_of(state))


# -- other checkpoints -------------------------------------------------------------


def interpolation(forger: Forger) -> Forgery:
    """Every checkpoint on the line from the first weights to the last."""
    forged = forger.honest()
    first, last = forged.states[0], forged.states[forger.ends[-1]]
    for step in forger.ends[1:-1]:
        share = np.float32(step / forger.ends[-1])
        between = {n: (1 - share) * first[n] + share * last[n] for n in first}
        between = {n: a.astype(first[n].dtype) for n, a in between.items()}
        forged.states[step] = between | {"step": np.asarray(step, np.int32)}
    return forged


def glue(forger: Forger) -> Forgery:
    """The second half is that of another training, begun elsewhere."""
    forged = forger.honest()
    start = started(forger.task, secrets.token_bytes(32))
    other = forger.continued(forger.honest(), 0, start)
    for step in forger.ends:
        if step >= forger.stop:
            forged.states[step] = other.states[step]
    forged.log[forger.stop :] = other.log[forger.stop :]
    return forged


def initial(forger: Forger) -> Forgery:
    """First weights of one's own choice, honest training from there."""
    start = started(forger.task, secrets.token_bytes(32))
    return forger.continued(forger.honest(), 0, start)


def moments(forger: Forger) -> Forgery:
    """A checkpoint without the moments of the optimiser."""
    forged = forger.honest()
    state = forged.states[forger.stop]
    none = {n: np.zeros_like(a) for n, a in state.items() if n[:2] in ("mu", "nu")}
    forged.states[forger.stop] = state | none
    return forged


def hidden_moments(forger: Forger) -> Forgery:
    """The least second moments of a checkpoint are zero: nothing in its norm, and in
    the next step their weights go wherever the first moments point."""
    before, after = (forger.claims.state(s) for s in (forger.start, forger.stop))
    moved, state = movement(before, after), dict(after)
    for name, length in moved.lengths.items():
        if name.startswith("nu."):
            values = after[name].ravel().copy()
            least = np.argsort(values)
            room = np.cumsum(values[least].astype(float) ** 2) < (5e-5 * length) ** 2
            values[least[room]] = 0
            state[name] = values.reshape(after[name].shape)
    return forger.carried_on(state)


def stale(forger: Forger) -> Forgery:
    """A checkpoint that is the one before it, once more."""
    forged = forger.honest()
    now = {"step": np.asarray(forger.stop, np.int32)}
    forged.states[forger.stop] = forged.states[forger.start] | now
    return forged


def nudge(forger: Forger) -> Forgery:
    """A checkpoint moved by a millionth of its segment's way, towards a goal."""
    before, after = (forger.claims.state(s) for s in (forger.start, forger.stop))
    moved = movement(before, after)
    nudged = dict(after)
    for name, length in moved.lengths.items():
        if name.startswith("params."):
            goal = np.sign(after[name]) / max(after[name].size, 1) ** 0.5
            nudged[name] = (after[name] + 1e-6 * length * goal).astype(np.float32)
    return forger.carried_on(nudged)


# -- another seed --------------------------------------------------------------------


def grinding(forger: Forger) -> Forgery:
    """The best of many nonces that the prover drew itself, signed by itself."""
    folder, drawn = forger.claims.folder, [secrets.token_hex(32) for _ in range(16)]

    def luck(nonce: str) -> int:  # of the first record: any wish would do
        return int(replace(forger.task, nonce=nonce).order[0])

    best = min(drawn, key=luck)
    task = replace(forger.task, nonce=best)
    commitment = opened((folder / COMMITMENT).read_bytes(), "commitment", COMMITMENT)
    body = forger.claims.nonce | {
        "commitment": sha256(commitment.content),
        "issuer": forger.key.name,
        "nonce": best,
    }
    forged = forger.honest()._replace(
        nonce=sealed(body, "nonce", forger.key), task=task
    )
    return forger.continued(forged, 0, writer.first(task))


ATTACKS: dict[str, Callable[[Forger], Forgery]] = {
    "data-subtraction": subtraction,
    "data-addition": addition,
    "swapped-order": order,
    "one-byte": byte,
    "permuted-batch": permutation,
    "skipped-step": skipped,
    "learning-rate": learning_rate,
    "weight-decay": weight_decay,
    "fine-tune": fine_tune,
    "interpolation": interpolation,
    "glue": glue,
    "forged-init": initial,
    "dropped-moments": moments,
    "hidden-moments": hidden_moments,
    "stale-checkpoint": stale,
    "sub-epsilon-nudge": nudge,
    "seed-grinding": grinding,
}
