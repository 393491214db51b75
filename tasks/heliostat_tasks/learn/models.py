"""Families of densities, whose parameters are arguments of compiled programs.

    Ising      log p = Σ_{i<j} J_ij s_i s_j + Σ_i h_i s_i,               s = 2x − 1
    Potts      log p = Σ_{i<j} J_ij(x_i, x_j) + Σ_i h_i(x_i)
    network    log p = b·x + u·h_B,  a residual network of B blocks

Couplings are stored as one number (or q × q block) per pair i < j, so any update keeps
the matrix symmetric and without a diagonal. In the convention ½ sᵀJs a lattice edge of
strength K has J_ij = K.

Pairwise models are exponential families: their mean log p depends on the data through
first and second moments only. These are computed once, over all data. The gradient of
the log-likelihood is moments of the data minus moments of the model.

Adding a function of x_i alone to a Potts block, and subtracting it from the fields,
leaves the density unchanged. Blocks are therefore compared in the zero-sum gauge, in
which every row and column of a block sums to zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from heliostat.kernels.discrete.densities import (
    ResidualNetwork,
    ebm,
    network_logp,
    residual_network,
)
from heliostat.kernels.discrete.target import Target

Params = Any


@runtime_checkable
class DensityFamily(Protocol):
    """A family of densities, one per value of its parameters."""

    linear: ClassVar[bool]
    """True if log p is linear in the parameters, so that moments replace the data."""

    @property
    def sites(self) -> int:
        """Number of sites."""
        ...

    @property
    def values(self) -> int:
        """Number of values of a site."""
        ...

    def start(self, key: Array, base: Float[Array, "sites values"]) -> Params:
        """Return parameters near the product measure of log-weights ``base``."""
        ...

    def target(self, params: Params) -> Target:
        """Return the density, for samplers."""
        ...

    def summary(self, x: Any) -> Any:
        """Summarise states (n, D), for :meth:`mean`."""
        ...

    def mean(self, params: Params, summary: Any) -> Float[Array, ""]:
        """Compute the mean unnormalised log p of states from their summary."""
        ...

    def couplings(self, params: Params) -> Array:
        """Return the parameters that are compared with the truth."""
        ...

    def picture(self, params: Params) -> Array:
        """Return the couplings as a matrix, for plots."""
        ...


class Couplings(NamedTuple):
    """Parameters of a pairwise model."""

    pairs: Float[Array, "pairs ..."]  # J_ij of i < j; Potts (P, q, q)
    fields: Float[Array, "sites ..."]  # h_i; Potts (D, q)


@dataclass(frozen=True)
class Pairwise:
    """Family of all Ising (``values=2``) or Potts models of some sites.

    Example:
        >>> model = Pairwise(sites=3)
        >>> params = Couplings(jnp.array([0.5, 0.0, 0.0]), jnp.zeros(3))
        >>> float(model.target(params).logp(jnp.ones(3)))
        0.5
    """

    sites: int
    values: int = 2
    linear: ClassVar[bool] = True

    @cached_property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Sites i and j of every pair, i < j."""
        return np.triu_indices(self.sites, 1)

    def start(self, key: Array, base: Float[Array, "sites values"]) -> Couplings:
        """Return no couplings, and the fields of independent sites."""
        pairs = len(self.ends[0])
        if self.values == 2:
            return Couplings(jnp.zeros(pairs), (base[:, 1] - base[:, 0]) / 2)
        fields = base - jnp.mean(base, axis=1, keepdims=True)
        return Couplings(jnp.zeros((pairs, self.values, self.values)), fields)

    def matrix(self, pairs: Float[Array, "pairs ..."]) -> Float[Array, "D D ..."]:
        """Return J as a symmetric matrix (D, D); of Potts (D, D, q, q)."""
        i, j = self.ends
        blocks = pairs.swapaxes(1, 2) if pairs.ndim == 3 else pairs
        empty = jnp.zeros((self.sites, self.sites, *pairs.shape[1:]), pairs.dtype)
        return empty.at[i, j].set(pairs).at[j, i].set(blocks)

    def target(self, params: Couplings) -> Target:
        """Return the density, for samplers."""
        j = self.matrix(params.pairs)
        if self.values > 2:
            size = self.sites * self.values
            j = j.transpose(0, 2, 1, 3).reshape(size, size)
        h = params.fields.ravel()

        def logp(x: Array) -> Array:
            s = 2 * x - 1 if self.values == 2 else x.ravel()
            return jnp.dot(s, 0.5 * (j @ s) + h)

        def exact(x: Array) -> Array:
            s = 2 * x.astype(j.dtype) - 1
            return (-2 * s * (j @ s + h))[:, None]  # shares j @ s with logp

        closed = exact if self.values == 2 else None
        return Target(logp, self.sites, self.values, exact=closed, multilinear=True)

    def summary(self, x: Any) -> Couplings:
        """Compute moments: the mean factor of each parameter in log p."""
        i, j = self.ends
        x = jnp.asarray(x)
        if self.values == 2:
            s = 2 * x.astype(float) - 1
            return Couplings((s.T @ s)[i, j] / len(s), jnp.mean(s, axis=0))
        s = jax.nn.one_hot(x, self.values, dtype=jnp.zeros(()).dtype)
        both = jnp.einsum("nia,njb->ijab", s, s) / len(s)
        return Couplings(both[i, j], jnp.mean(s, axis=0))

    def mean(self, params: Couplings, summary: Couplings) -> Float[Array, ""]:
        """Compute the mean unnormalised log p of states from their moments."""
        return sum(jnp.vdot(a, b) for a, b in zip(params, summary, strict=True))  # pyright: ignore

    def couplings(self, params: Couplings) -> Float[Array, "pairs ..."]:
        """Return J_ij; Potts blocks are in the zero-sum gauge."""
        return zero_sum(params.pairs) if self.values > 2 else params.pairs

    def picture(self, params: Couplings) -> Float[Array, "sites sites"]:
        """Return J, or the Frobenius norms of its blocks."""
        pairs = self.couplings(params)
        norms = jnp.sqrt(jnp.sum(pairs**2, (1, 2))) if self.values > 2 else pairs
        return self.matrix(norms)


def zero_sum(blocks: Float[Array, "pairs q q"]) -> Float[Array, "pairs q q"]:
    """Transform Potts couplings to the gauge where rows and columns sum to zero."""
    rows = jnp.mean(blocks, axis=2, keepdims=True)
    columns = jnp.mean(blocks, axis=1, keepdims=True)
    return blocks - rows - columns + jnp.mean(blocks, axis=(1, 2), keepdims=True)


@dataclass(frozen=True)
class Residual:
    """Family of residual networks with ``blocks`` blocks of ``features`` units."""

    sites: int
    features: int
    blocks: int
    values: int = 2
    linear: ClassVar[bool] = False

    def start(self, key: Array, base: Float[Array, "sites values"]) -> ResidualNetwork:
        """Draw a network with a small output, added to the log-odds of the data."""
        net = residual_network(key, self.sites, self.features, self.blocks)
        return net._replace(base=base[:, 1] - base[:, 0], write=QUIET * net.write)

    def target(self, params: ResidualNetwork) -> Target:
        """Return the density, for samplers."""
        return ebm(params)

    def summary(self, x: Any) -> Any:
        """Return the states themselves."""
        return x

    def mean(self, params: ResidualNetwork, summary: Any) -> Float[Array, ""]:
        """Compute the mean unnormalised log p of states."""
        f = jax.vmap(lambda x: network_logp(params, x))
        return jnp.mean(f(summary.astype(params.base.dtype)))

    def couplings(self, params: ResidualNetwork) -> Array:
        """Return the first layer; its truth is unknown, so 0 stands for it."""
        return params.read

    def picture(self, params: ResidualNetwork) -> Array:
        """Return the first layer, (D, H)."""
        return params.read


QUIET = 0.1
"""Scale of a random network's output at first: training starts near the base."""
