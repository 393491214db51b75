"""Targets beyond lattices: an RBM, a factorial HMM, a residual network, two controls.

Each has values that are known exactly for small sizes (see the tests), and each is hard
for another reason: dense hidden couplings, observations, no structure at all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn import softplus, swish
from jaxtyping import Float, Key
from numpy.typing import ArrayLike

from heliostat.kernels.discrete.lattices import magnetisation
from heliostat.kernels.discrete.target import State, Target


def rbm(weights: ArrayLike, visible: ArrayLike, hidden: ArrayLike) -> Target:
    """Return a Bernoulli restricted Boltzmann machine, hidden units summed out.

        log p(v) = b·v + Σ_j softplus(c_j + Σ_i v_i W_ij)

    Its gains have a closed form in O(D H): a flip moves every hidden input by one row
    of W.  Taylor's gains leave out the curvature of softplus.

    Args:
        weights: W, ``(D, H)``.
        visible: b, ``(D,)``.
        hidden: c, ``(H,)``.

    Returns:
        The density over D bits.

    Raises:
        ValueError: if shapes do not fit.

    Example:
        >>> target = rbm(np.zeros((3, 2)), np.ones(3), np.zeros(2))
        >>> round(float(target.logp(jnp.ones(3))), 4)  # 3 + 2 log 2
        4.3863
    """
    w, b, c = (np.asarray(v, float) for v in (weights, visible, hidden))
    if w.ndim != 2 or b.shape != w.shape[:1] or c.shape != w.shape[1:]:
        raise ValueError(
            f"an RBM of weights {w.shape}, visible {b.shape}, hidden {c.shape}: "
            "expected (D, H), (D,) and (H,)"
        )

    def logp(v: Float[Array, " sites"]) -> Float[Array, ""]:
        kind = v.dtype
        inputs = jnp.asarray(c, kind) + v @ jnp.asarray(w, kind)
        return jnp.dot(jnp.asarray(b, kind), v) + jnp.sum(softplus(inputs))

    def exact(x: State) -> Float[Array, "sites 1"]:
        v = x.astype(float)
        flip = 1 - 2 * v
        inputs = jnp.asarray(c, v.dtype) + v @ jnp.asarray(w, v.dtype)
        moved = inputs[None] + flip[:, None] * jnp.asarray(w, v.dtype)
        hidden = jnp.sum(softplus(moved) - softplus(inputs)[None], 1)
        return (flip * jnp.asarray(b, v.dtype) + hidden)[:, None]

    return Target(logp, len(b), exact=exact, weights=(w, b, c))


def sine_rbm(visible: int, hidden: int, scale: float = 1.0) -> Target:
    """Return an RBM with sines for weights: no file, no seed, known exact values.

        W_ij = s sin(1 + 1.7 i + 2.3 j)
        b_i = 0.3 cos(0.9 i),      c_j = 0.2 sin(½ + 1.1 j)

    Args:
        visible: D.
        hidden: H.
        scale: s.

    Returns:
        The density over D bits.

    Example:
        >>> target = sine_rbm(6, 3)
        >>> target.sites, target.weights[0].shape
        (6, (6, 3))
    """
    i, j = np.arange(visible), np.arange(hidden)
    weights = scale * np.sin(1 + 1.7 * i[:, None] + 2.3 * j)
    return rbm(weights, 0.3 * np.cos(0.9 * i), 0.2 * np.sin(0.5 + 1.1 * j))


class FHMMData(NamedTuple):
    """Observations of a factorial hidden Markov model, and its parameters.

    Example:
        >>> FHMMData(np.zeros(5), np.ones(2)).sigma
        0.5
    """

    y: Float[np.ndarray, " steps"]  # observations
    weights: Float[np.ndarray, " factors"]  # W
    offset: float = 0.3  # W₀, mean of an observation with all factors off
    sigma: float = 0.5  # noise of an observation
    start: float = 0.1  # P(x_0 = 1)
    keep: float = 0.95  # P(x_n+1 = x_n)


def sine_observations(steps: int, factors: int) -> FHMMData:
    """Return observations and weights without a seed.

        y_n = sin(0.3 n) + ½ cos(0.11 n),      W_k = sin(k + 1)

    Args:
        steps: N, how many observations.
        factors: K, how many binary chains.

    Returns:
        The data of :func:`fhmm`.

    Example:
        >>> sine_observations(4, 3).y.round(2).tolist()
        [0.5, 0.79, 1.05, 1.26]
    """
    n, k = np.arange(steps), np.arange(factors)
    return FHMMData(np.sin(0.3 * n) + 0.5 * np.cos(0.11 * n), np.sin(k + 1.0))


def fhmm(observed: FHMMData, multilinear: bool = True) -> Target:
    """Return the posterior of a factorial hidden Markov model's K binary chains.

        log p(x, y) = Σ_n log N(y_n; W₀ + W·x_n, σ²) + Σ_k log P(x_0k)
                      + Σ_nk log P(x_n+1,k | x_nk)

    Squares x² = x are written as x in the *multilinear* extension: the same density on
    bits, whose Taylor gains are exact; as coded elsewhere they are off by W_k²/2σ².

    Args:
        observed: y, W and the parameters.
        multilinear: False keeps the squares.

    Returns:
        The density over N K bits, factors of one step together.

    Example:
        >>> target = fhmm(sine_observations(4, 3))
        >>> target.sites, round(float(target.logp(jnp.zeros(12))), 2)
        (12, -5.21)
    """
    y, w, offset, sigma, start, keep = observed
    shape = (len(y), len(w))

    def logp(flat: Float[Array, " sites"]) -> Float[Array, ""]:
        x = flat.reshape(shape)
        weights = jnp.asarray(w, x.dtype)
        rest = jnp.asarray(y, x.dtype) - offset - x @ weights
        square = rest**2
        if multilinear:
            square += (x - x**2) @ weights**2  # 0 on bits; no x_k² is left
        emitted = -square / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
        same = x[1:] * x[:-1] + (1 - x[1:]) * (1 - x[:-1])
        moved = same * math.log(keep) + (1 - same) * math.log(1 - keep)
        begun = x[0] * math.log(start) + (1 - x[0]) * math.log(1 - start)
        return jnp.sum(emitted) + jnp.sum(moved) + jnp.sum(begun)

    return Target(logp, math.prod(shape), multilinear=multilinear)


def independent(logits: ArrayLike) -> Target:
    """Return independent sites: log p = Σ_i b_i x_i, or Σ_i b[i, x_i] of a table.

    Args:
        logits: b, ``(D,)`` for bits, or a table ``(D, K)``.

    Returns:
        The density, with its exact log Z.

    Example:
        >>> target = independent(np.zeros(3))
        >>> target.sites, round(target.log_z, 4)  # 3 log 2
        (3, 2.0794)
    """
    b = np.asarray(logits, float)
    values = 2 if b.ndim == 1 else b.shape[1]
    log_z = np.logaddexp(0, b) if b.ndim == 1 else np.logaddexp.reduce(b, axis=1)
    if b.ndim == 2 and values == 2:
        b = b[:, 1] - b[:, 0]  # the sum of the first column is a constant
        log_z = np.logaddexp(0, b)
    return Target(
        lambda x: jnp.sum(jnp.asarray(b, x.dtype) * x),
        len(b),
        values,
        multilinear=True,
        colours=(0,) * len(b),
        log_z=float(log_z.sum()),
    )


def curie_weiss(sites: int, coupling: float) -> Target:
    """Return the Curie-Weiss model: log p = K (Σ_i s_i)² / N.

    Its log Z = log Σ_k C(N, k) exp(K (2k − N)² / N) is exact for any N.

    Args:
        sites: N.
        coupling: K, dimensionless.

    Returns:
        The density over N bits, with its exact log Z.

    Example:
        >>> target = curie_weiss(4, coupling=0.5)
        >>> float(target.logp(jnp.ones(4))), round(curie_weiss(4, 0.0).log_z, 4)
        (2.0, 2.7726)
    """
    k = np.arange(sites + 1)
    counts = np.array([math.lgamma(sites + 1) - _lgamma2(int(i), sites) for i in k])
    log_z = np.logaddexp.reduce(counts + coupling * (2 * k - sites) ** 2 / sites)

    def logp(x: Float[Array, " sites"]) -> Float[Array, ""]:
        s = 2 * x - 1
        others = jnp.sum(s) ** 2 - jnp.sum(s**2)  # no square of a spin: multilinear
        return coupling * (others + sites) / sites

    return Target(
        logp, sites, multilinear=True, order=magnetisation, log_z=float(log_z)
    )


def _lgamma2(k: int, n: int) -> float:
    return math.lgamma(k + 1) + math.lgamma(n - k + 1)


class ResidualNetwork(NamedTuple):
    """Weights of a residual network of B blocks over D bits, H features wide.

    Example:
        >>> residual_network(jax.random.key(0), sites=4, features=8).inner.shape
        (2, 8, 8)
    """

    read: Float[Array, "sites features"]  # R
    inner: Float[Array, "blocks features features"]  # W
    outer: Float[Array, "blocks features features"]  # V
    bias: Float[Array, "blocks features"]  # c
    write: Float[Array, " features"]  # u
    base: Float[Array, " sites"]  # b, log-odds of independent bits


def residual_network(
    key: Key[Array, ""], sites: int, features: int = 32, blocks: int = 2
) -> ResidualNetwork:
    """Draw random weights, small enough that the energy starts near zero.

    Args:
        key: key of the weights.
        sites: D.
        features: H.
        blocks: B.

    Returns:
        The weights; the same numbers in either precision.

    Example:
        >>> net = residual_network(jax.random.key(0), sites=4)
        >>> net.read.shape, net.write.shape
        ((4, 32), (32,))
    """
    a, b, c, d = jax.random.split(key, 4)

    def normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
        return jax.random.normal(key, shape, jnp.float32).astype(float)

    return ResidualNetwork(
        normal(a, (sites, features)) * sites**-0.5,
        normal(b, (blocks, features, features)) * features**-0.5,
        normal(c, (blocks, features, features)) * features**-0.5,
        jnp.zeros((blocks, features)),
        normal(d, (features,)) * features**-0.5,
        jnp.zeros(sites),
    )


def network_logp(net: ResidualNetwork, x: Float[Array, " sites"]) -> Float[Array, ""]:
    """Return the log density of a residual network.

        f(x) = b·x + u·swish(h_B)
        h_0 = R x,      h_{i+1} = h_i + V_i swish(W_i h_i + c_i)

    Args:
        net: the weights.
        x: ``(D,)`` bits as floats.

    Returns:
        f(x), ().

    Example:
        >>> net = residual_network(jax.random.key(0), sites=4)
        >>> float(network_logp(net, jnp.zeros(4)))
        0.0
    """
    h = x @ net.read
    for inner, outer, bias in zip(net.inner, net.outer, net.bias, strict=True):
        h = h + swish(h @ inner + bias) @ outer
    return jnp.dot(net.base, x) + jnp.dot(net.write, swish(h))


def ebm(net: ResidualNetwork) -> Target:
    """Return the density of a residual network, of which nothing is known exactly.

        log p(x) = f(x),    see :func:`network_logp`

    Args:
        net: the weights.

    Returns:
        The density over D bits.

    Example:
        >>> ebm(residual_network(jax.random.key(0), sites=4)).sites
        4
    """
    return Target(lambda x: network_logp(net, x), len(net.base))
