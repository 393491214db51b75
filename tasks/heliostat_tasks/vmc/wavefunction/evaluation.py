"""Ψ and E_L of an ansatz and its parameters, as functions of electrons.

The step of the task maps these functions over walkers inside its own program.  The
methods of the task evaluate them anywhere, by programs compiled once per shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc.hamiltonian import LocalEnergy, coulomb, local_energy
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.first_guess import Params


class Data(NamedTuple):
    """The molecule as arrays; Ψ and E_L need nuclei and charges, a start needs all."""

    nuclei: Float[np.ndarray, "nuclei 3"]  # bohr
    charges: Float[np.ndarray, " nuclei"]  # elementary charges
    centres: Float[np.ndarray, "n 3"] = np.zeros((0, 3))  # bohr, where electrons start
    widths: Float[np.ndarray, " n"] = np.zeros(0)  # bohr, standard deviations of that
    orbitals: tuple[np.ndarray, ...] = ()  # coefficients of spin up and down, if any


def wavefunction(
    ansatz: Ansatz, params: Params, x: Float[Array, "n 3"], data: Data
) -> SignedLog:
    """Evaluate sign and log|Ψ| of one walker ``x`` in bohr, spin up first."""
    return ansatz(params, x, jnp.asarray(data.nuclei, x.dtype))


def energy_function(
    ansatz: Ansatz, params: Params, data: Data, method: str = "forward"
) -> Callable[[Array], LocalEnergy]:
    """Return the function from one walker ``(n, 3)`` to its local energy, hartree."""
    nuclei = jnp.asarray(data.nuclei, float)
    charges = jnp.asarray(data.charges, float)
    return local_energy(
        lambda x: wavefunction(ansatz, params, x, data).log,
        partial(coulomb, nuclei=nuclei, charges=charges),
        method,
    )


@lru_cache(maxsize=8)
def compiled(ansatz: Ansatz, method: str | None = None) -> Any:
    """Compile log|Ψ|, or E_L by a method of the Laplacian, for many walkers."""

    def one_walker(params: Params, x: Array, data: Data) -> Any:
        with jax.default_matmul_precision("highest"):  # as in runs
            if method is None:
                return wavefunction(ansatz, params, x, data)
            return energy_function(ansatz, params, data, method)(x)

    # not heliostat's jit: users differentiate log|Ψ|, which its options forbid
    return jax.jit(jax.vmap(one_walker, (None, 0, None)))


def evaluate(
    program: Any, data: Data, params: Params, x: Float[ArrayLike, "*batch n 3"]
) -> Any:
    """Evaluate a compiled program at electrons with any leading axes.

    It computes in the precision of the parameters, which is that of their run.
    """
    dtype = params["jastrow"]["beta"].dtype
    with jax.enable_x64(dtype == jnp.float64):
        x = jnp.asarray(x, dtype)
        values = program(params, x.reshape(-1, *x.shape[-2:]), data)
        return jax.tree.map(lambda v: v.reshape(x.shape[:-2]), values)
