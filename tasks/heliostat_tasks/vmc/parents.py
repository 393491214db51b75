"""Start of a run from a trained wavefunction: of another geometry, or more walkers.

Parameters belong to nuclei, so a run keeps its nuclei in the order of the run that it
continues: whichever of equal nuclei moved least is the same nucleus.
"""

from __future__ import annotations

from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from heliostat.errors import RequestError
from heliostat_tasks.vmc.hamiltonian import distances
from heliostat_tasks.vmc.state import State
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.evaluation import Data, energy_function

SPINS = {"up": "electrons of spin up", "down": "electrons of spin down"}


def check_ansatz(parent: Ansatz, own: Ansatz) -> None:
    """Refuse the wavefunction of a parent that another one has no use for.

    Args:
        parent: without its parameters.
        own: that of the run that would start from it.

    Raises:
        RequestError: for the first size in use that differs.
    """
    expected = asdict(own)
    unused = {"terms"} if own.head == "determinant" else set[str]()
    unused |= set() if own.orbitals else {"determinants"}
    for name, size in asdict(parent).items():
        if size != expected[name] and name not in unused:
            words = SPINS.get(name, name.replace("_", " "))
            raise RequestError(
                f"its wavefunction has {words} {size}, expected {expected[name]}"
            )


def adopt_state(state: State, ansatz: Ansatz, data: Data, walkers: int) -> State:
    """Return the first state of a run, from that of its parent.

    Electrons move with their nearest nuclei. Parameters and the width of small steps
    stay; SPRING's direction, which belongs to other walkers, does not. Nothing is
    pretrained again.

    Args:
        state: of the parent.
        ansatz: that of both.
        data: the molecule of the run.
        walkers: number of walkers of the run.

    Returns:
        The state before the first step.
    """
    nuclei = jnp.asarray(data.nuclei, float)
    nuclei = matched_nuclei(state.nuclei, nuclei, data.charges)
    moved = shifted(resampled(state.walkers, walkers), state.nuclei, nuclei)
    energy = energy_function(ansatz, state.params, data._replace(nuclei=nuclei))
    return state._replace(
        step=jnp.zeros((), jnp.int32),
        nuclei=nuclei,
        walkers=moved,
        energies=jax.vmap(energy)(moved).total,
        momentum=jnp.zeros_like(state.momentum),
        pretrain=jnp.zeros((), jnp.int32),
    )


def matched_nuclei(
    parent: Float[Array, "nuclei 3"],
    nuclei: Float[Array, "nuclei 3"],
    charges: Float[ArrayLike, " nuclei"],
) -> Float[Array, "nuclei 3"]:
    """Order nuclei as those of a parent are, by an assignment π of least

        Σ_I |R_π(I) − R'_I|²

    among those that keep charges. The sum changes by a constant if all of a molecule is
    shifted, so π does not.

    Args:
        parent: positions R', bohr.
        nuclei: positions R in any order of equal charges, bohr.
        charges: of both, elementary charges.

    Returns:
        R_π(I), bohr.

    Example:
        >>> moved = jnp.array([[-0.1, 0, 2.0], [0, 0, 0.5]])
        >>> matched_nuclei(jnp.array([[0, 0, 0.0], [0, 0, 1.4]]), moved, np.ones(2))[0]
        Array([0. , 0. , 0.5], dtype=float32)
    """
    cost = distances(parent, nuclei) ** 2
    charges = jnp.asarray(charges)
    unlike = charges[:, None] != charges[None]
    cost = jnp.where(unlike, len(charges) * (1 + jnp.max(cost)), cost)
    rows, columns = optax.assignment.hungarian_algorithm(cost)
    return nuclei[columns[jnp.argsort(rows)]]


def shifted(
    walkers: Float[Array, "walkers n 3"],
    before: Float[Array, "nuclei 3"],
    after: Float[Array, "nuclei 3"],
) -> Float[Array, "walkers n 3"]:
    """Shift every electron by as much as its nearest nucleus moves.

    Args:
        walkers: bohr.
        before: positions of nuclei, bohr.
        after: their new positions, bohr.

    Example:
        >>> electrons = jnp.array([[[0, 0, 0.1], [0, 0, 1.3]]])
        >>> nuclei = jnp.array([[0, 0, 0.0], [0, 0, 1.4]])
        >>> shifted(electrons, nuclei, 2 * nuclei)[0, :, 2]
        Array([0.1      , 2.6999998], dtype=float32)
    """
    away = jnp.sum((walkers[:, :, None] - before[None, None]) ** 2, axis=-1)
    return walkers + (after - before)[jnp.argmin(away, axis=-1)]


def resampled(
    walkers: Float[Array, "parents n 3"], count: int
) -> Float[Array, "walkers n 3"]:
    """Return another number of walkers: evenly thinned, or each repeated.

    Args:
        walkers: of the parent.
        count: number of walkers to return.

    Example:
        >>> walkers = jnp.repeat(jnp.arange(4), 3).reshape(4, 1, 3) / 1
        >>> [resampled(walkers, n)[:, 0, 0].astype(int).tolist() for n in (2, 6)]
        [[0, 2], [0, 0, 1, 2, 2, 3]]
    """
    return walkers[np.arange(count) * len(walkers) // count]
