"""Interface of the antisymmetric heads."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from jax import Array
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc.wavefunction.electrons import Electrons
from heliostat_tasks.vmc.wavefunction.first_guess import Params


class HeadInputs(NamedTuple):
    """Values of one walker that a head computes its terms from."""

    electrons: Electrons
    h: Float[Array, "n features"]  # from the backbone
    orbitals: tuple[Array, ...]  # (sets, i, j) of spin up and down; () if not needed


@runtime_checkable
class Head(Protocol):
    """Sum of antisymmetric terms.

    Its parameters include ``weight``, of each term.
    """

    @property
    def needs_orbitals(self) -> bool:
        """True if the terms are made of orbitals."""
        ...

    def guess(self, nuclei: Float[Array, "nuclei 3"]) -> Params:
        """Guess the parameters before training."""
        ...

    def __call__(self, params: Params, inputs: HeadInputs) -> SignedLog:
        """Compute sign and log of every term, ``(terms,)``, without its weight."""
        ...
