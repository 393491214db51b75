"""Attacks on a segment of a training: other data, steps or hyperparameters.

References: Choi et al., arXiv:2307.00682 [subtraction, addition, order].
"""

from __future__ import annotations

import heliostat as hs
from heliostat.system.jit import jit
from heliostat_tasks.provenance.attacks.adversary import Adversary, Forgery
from heliostat_tasks.provenance.transcript.file_format import to_state, to_tensors


def subtraction(adversary: Adversary) -> Forgery:
    """A tenth of the records is never seen: others stand twice in their place."""
    batches = adversary.batches()
    for batch in batches:
        missing = max(1, len(batch) // 10)
        batch[:missing] = batch[-missing:]
    return adversary.train_middle(batches)


def addition(adversary: Adversary) -> Forgery:
    """One more step, on a batch that was never declared."""
    batches = adversary.batches()
    secret = 255 - batches[0]
    if adversary.task.model == "mlp":
        secret[:, -1] = batches[0][:, -1]
    middle = len(batches) // 2
    return adversary.train_middle([*batches[:middle], secret, *batches[middle:]])


def order(adversary: Adversary) -> Forgery:
    """Two batches change places."""
    if adversary.stop - adversary.start < 2:
        raise hs.RequestError("swapped-order: expected segments of two steps or more")
    first, second, *rest = adversary.batches()
    return adversary.train_middle([second, first, *rest])


def byte(adversary: Adversary) -> Forgery:
    """One byte of one record is another one."""
    batches = adversary.batches()
    batches[len(batches) // 2][0, 0] ^= 1
    return adversary.train_middle(batches)


def permutation(adversary: Adversary) -> Forgery:
    """The records of one batch in another order: the same gradient, other rounding."""
    batches = adversary.batches()
    batches[0] = batches[0][::-1]
    return adversary.train_middle(batches)


def skipped_step(adversary: Adversary) -> Forgery:
    """One step is not taken."""
    batches = adversary.batches()
    del batches[len(batches) // 2]
    return adversary.train_middle(batches)


def learning_rate(adversary: Adversary) -> Forgery:
    """A learning rate that is 0.1 % higher than declared."""
    return adversary.train_middle(adversary.batches(), lr=1.001)


def weight_decay(adversary: Adversary) -> Forgery:
    """A weight decay that is 1 % stronger than declared."""
    return adversary.train_middle(adversary.batches(), decay=1.01)


def fine_tuning(adversary: Adversary) -> Forgery:
    """After the segment, a few small steps on its own records, which leave the traces
    that tests of memorisation look for."""
    batches = adversary.batches()
    trained = adversary.train_middle(batches).states[adversary.stop]
    state = to_state(trained)
    update = jit(lambda s, b: adversary.task.update(s, b, 0.1))
    for batch in batches[-3:]:
        state, _ = update(state, batch)
    return adversary.replace_middle(to_tensors(state))
