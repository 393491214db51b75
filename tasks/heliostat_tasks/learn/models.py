"""What is learned: densities whose parameters are arguments, not constants.

    Ising      log p = Σ_{i<j} J_ij s_i s_j + Σ_i h_i s_i,               s = 2x − 1
    Potts      log p = Σ_{i<j} J_ij(x_i, x_j) + Σ_i h_i(x_i)
    network    log p = b·x + u·h_B,  a residual network of B blocks

Couplings are kept as one number (or q × q block) per pair i < j, so that the matrix is
symmetric and has no diagonal whatever an optimiser does.  In the convention
½ sᵀJs a lattice edge of strength K has J_ij = K.

Pairwise models are exponential families: their mean log p depends on the data through
first and second moments only.  These are computed once, over all data, and the gradient
of the log-likelihood is moments of the data minus moments of the model.

A Potts block plus a function of x_i alone is another coupling of the same density, if
the fields make up for it.  Blocks are compared in the zero-sum gauge, in which every
row and column of a block sums to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from heliostat.kernels.discrete.densities import (
    ResidualNetwork,
    ebm,
    network_logp,
    residual_network,
)
from heliostat.kernels.discrete.target import Target

Params = Any


class DensityFamily(Protocol):
    """A family of densities, one per value of its parameters."""

    linear: ClassVar[bool]
    """Whether log p is linear in the parameters: then moments say all of the data."""

    @property
    def sites(self) -> int: ...

    @property
    def values(self) -> int: ...

    def start(self, key: Array, base: Array) -> Params:
        """Parameters near the product measure of log-weights ``base`` (D, K)."""
        ...

    def target(self, params: Params) -> Target:
        """The density, for samplers."""
        ...

    def summary(self, x: Any) -> Any:
        """What the mean log p of states (n, D) depends on."""
        ...

    def mean(self, params: Params, seen: Any) -> Array:
        """Mean unnormalised log p, (), of states given by their summary."""
        ...

    def couplings(self, params: Params) -> Array:
        """What is compared with the truth."""
        ...

    def picture(self, params: Params) -> Array:
        """The same as a matrix, for the eye."""
        ...


class Couplings(NamedTuple):
    """Parameters of a pairwise model."""

    pairs: Array  # (P,) J_ij of i < j; Potts (P, q, q)
    fields: Array  # (D,) h_i; Potts (D, q)


@dataclass(frozen=True)
class Pairwise:
    """All Ising (``values=2``) or Potts models of some sites.

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
        """i and j of every pair, i < j."""
        return np.triu_indices(self.sites, 1)

    def start(self, key: Array, base: Array) -> Couplings:
        """No couplings, and the fields of independent sites."""
        pairs = len(self.ends[0])
        if self.values == 2:
            return Couplings(jnp.zeros(pairs), (base[:, 1] - base[:, 0]) / 2)
        fields = base - jnp.mean(base, axis=1, keepdims=True)
        return Couplings(jnp.zeros((pairs, self.values, self.values)), fields)

    def matrix(self, pairs: Array) -> Array:
        """J as a symmetric matrix (D, D); of Potts (D, D, q, q)."""
        i, j = self.ends
        blocks = pairs.swapaxes(1, 2) if pairs.ndim == 3 else pairs
        empty = jnp.zeros((self.sites, self.sites, *pairs.shape[1:]), pairs.dtype)
        return empty.at[i, j].set(pairs).at[j, i].set(blocks)

    def target(self, params: Couplings) -> Target:
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
        """Moments: means of what each parameter multiplies."""
        i, j = self.ends
        x = jnp.asarray(x)
        if self.values == 2:
            s = 2 * x.astype(float) - 1
            return Couplings((s.T @ s)[i, j] / len(s), jnp.mean(s, axis=0))
        s = jax.nn.one_hot(x, self.values, dtype=jnp.zeros(()).dtype)
        both = jnp.einsum("nia,njb->ijab", s, s) / len(s)
        return Couplings(both[i, j], jnp.mean(s, axis=0))

    def mean(self, params: Couplings, seen: Couplings) -> Array:
        return sum(jnp.vdot(a, b) for a, b in zip(params, seen, strict=True))  # pyright: ignore

    def couplings(self, params: Couplings) -> Array:
        return zero_sum(params.pairs) if self.values > 2 else params.pairs

    def picture(self, params: Couplings) -> Array:
        """J, or the Frobenius norms of its blocks, (D, D)."""
        pairs = self.couplings(params)
        norms = jnp.sqrt(jnp.sum(pairs**2, (1, 2))) if self.values > 2 else pairs
        return self.matrix(norms)


def zero_sum(blocks: Array) -> Array:
    """Potts couplings (P, q, q) in the gauge where rows and columns sum to zero."""
    rows = jnp.mean(blocks, axis=2, keepdims=True)
    columns = jnp.mean(blocks, axis=1, keepdims=True)
    return blocks - rows - columns + jnp.mean(blocks, axis=(1, 2), keepdims=True)


@dataclass(frozen=True)
class Residual:
    """Densities given by residual networks of ``blocks`` blocks, ``features`` wide."""

    sites: int
    features: int
    blocks: int
    values: int = 2
    linear: ClassVar[bool] = False

    def start(self, key: Array, base: Array) -> ResidualNetwork:
        """Random weights, little of them written out, on the log-odds of the data."""
        net = residual_network(key, self.sites, self.features, self.blocks)
        return net._replace(base=base[:, 1] - base[:, 0], write=QUIET * net.write)

    def target(self, params: ResidualNetwork) -> Target:
        return ebm(params)

    def summary(self, x: Any) -> Any:
        """The states themselves."""
        return x

    def mean(self, params: ResidualNetwork, seen: Array) -> Array:
        f = jax.vmap(lambda x: network_logp(params, x))
        return jnp.mean(f(seen.astype(params.base.dtype)))

    def couplings(self, params: ResidualNetwork) -> Array:
        return params.read

    def picture(self, params: ResidualNetwork) -> Array:
        """What the first layer looks for, (D, H)."""
        return params.read


QUIET = 0.1
"""Share of a random network that is heard at first: training starts at the base."""
