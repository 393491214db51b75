"""Pairwise targets: Ising and Potts models on lattices and on graphs.

    Ising   log p = K Σ_edges s_i s_j + Σ_i h_i s_i,       s = 2x − 1 ∈ {−1, 1}
    Potts   log p = K Σ_edges [x_i = x_j]

Each edge counts once, so K is β J of the textbooks; other codes count edges twice
(there K is 2σ, for Potts with ±σ 4σ) or leave boundaries open.  Both are multilinear:
Taylor's gains are exact.  Energies on lattices are per site, in units of J and without
the field: −Σ_edges s_i s_j / N; on a graph, whose edges differ, −log p / N.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from heliostat.kernels.discrete.target import Relaxed, State, Target


def ising(size: int, coupling: float, field: ArrayLike | float = 0.0) -> Target:
    """Return the Ising model on a periodic ``size`` × ``size`` lattice.

        log p = K Σ_edges s_i s_j + Σ_i h_i s_i,       s = 2x − 1

    Args:
        size: side of the lattice, at least 3 (of 2, edges would coincide).
        coupling: K = J / kT, dimensionless; negative is antiferromagnetic.
        field: h = B / kT, dimensionless: a number, or one per site, row by row.

    Returns:
        The density over ``size²`` bits.

    Raises:
        ValueError: for a side below 3, or a field of other sites.

    Example:
        >>> target = ising(3, coupling=0.5)
        >>> float(target.logp(jnp.ones(9)))  # 18 edges
        9.0
    """
    _check_side(size)
    h = np.asarray(field, float)
    if h.ndim:
        h = as_field(h, size**2).reshape(size, size)

    def bonds(x: Float[Array, " sites"]) -> Float[Array, ""]:
        s = (2 * x - 1).reshape(size, size)
        return jnp.sum(s * (jnp.roll(s, 1, 0) + jnp.roll(s, 1, 1)))

    def logp(x: Float[Array, " sites"]) -> Float[Array, ""]:
        strength, s = jnp.asarray(h, x.dtype), 2 * x - 1
        if not h.ndim:
            return coupling * bonds(x) + strength * jnp.sum(s)
        return coupling * bonds(x) + jnp.sum(strength * s.reshape(size, size))

    def exact(x: State) -> Float[Array, "sites 1"]:
        s = (2 * x.astype(float) - 1).reshape(size, size)
        around = sum(jnp.roll(s, by, axis) for by in (1, -1) for axis in (0, 1))
        local = coupling * around + jnp.asarray(h, s.dtype)
        return (-2 * s * local).reshape(-1, 1)

    return Target(
        logp,
        size**2,
        exact=exact,
        multilinear=True,
        colours=_lattice_colours(size),
        energy=lambda x: -bonds(x) / size**2,
        order=magnetisation,
    )


def magnetisation(x: Float[Array, " sites"]) -> Float[Array, ""]:
    """Return the mean spin, Σ_i (2 x_i − 1) / D.

    Args:
        x: ``(D,)`` bits as floats.

    Returns:
        () between −1 and 1.

    Example:
        >>> float(magnetisation(jnp.array([1.0, 1.0, 1.0, 0.0])))
        0.5
    """
    return jnp.mean(2 * x - 1)


def pairwise(couplings: ArrayLike, field: ArrayLike | float = 0.0) -> Target:
    """Return an Ising model on any graph, s = 2x − 1.

        log p = ½ sᵀ J s + hᵀ s = Σ_{i<j} J_ij s_i s_j + Σ_i h_i s_i

    Args:
        couplings: J, ``(D, D)``, symmetric, with a zero diagonal.
        field: h, a number or ``(D,)``.

    Returns:
        The density over D bits.

    Raises:
        ValueError: if J is not square, finite and symmetric, or has a diagonal (see
            :func:`as_couplings`), or if h has other sites.

    Example:
        >>> target = pairwise([[0.0, 1.0], [1.0, 0.0]])
        >>> float(target.logp(jnp.array([1.0, 0.0])))
        -1.0
    """
    j = as_couplings(couplings)
    h = as_field(field, len(j))

    def bonds(x: Float[Array, " sites"]) -> Float[Array, ""]:
        s = 2 * x - 1
        return 0.5 * jnp.dot(s, jnp.asarray(j, s.dtype) @ s)

    def logp(x: Float[Array, " sites"]) -> Float[Array, ""]:
        return bonds(x) + jnp.dot(jnp.asarray(h, x.dtype), 2 * x - 1)

    return Target(
        logp,
        len(j),
        multilinear=True,
        colours=greedy_colouring(j),
        energy=lambda x: -logp(x) / len(j),
        order=magnetisation,
    )


def as_couplings(couplings: ArrayLike) -> Float64[np.ndarray, "sites sites"]:
    """Return a coupling matrix as float64, or name the first entry that is wrong.

    Args:
        couplings: J, ``(D, D)``, symmetric, with a zero diagonal.

    Returns:
        J, ``(D, D)`` float64.

    Raises:
        ValueError: if J is not square, finite and symmetric, or has a diagonal.

    Example:
        >>> as_couplings([[0, 1], [2, 0]])
        Traceback (most recent call last):
        ValueError: couplings are not symmetric: J[0, 1] = 1 but J[1, 0] = 2; ...
    """
    j = np.asarray(couplings, float)
    if j.ndim != 2 or j.shape[0] != j.shape[1]:
        raise ValueError(f"couplings of shape {j.shape}: expected a square matrix")
    if not np.isfinite(j).all():
        raise ValueError("couplings that are not finite: expected finite numbers")
    gap = np.abs(j - j.T)
    if gap.max(initial=0) > 1e-6 * max(1.0, np.abs(j).max(initial=0)):
        a, b = np.unravel_index(np.argmax(gap), j.shape)
        raise ValueError(
            f"couplings are not symmetric: J[{a}, {b}] = {j[a, b]:g} but "
            f"J[{b}, {a}] = {j[b, a]:g}; {_symmetric_form(j)}"
        )
    if np.diag(j).any():
        site = int(np.argmax(np.diag(j) != 0))
        raise ValueError(
            f"couplings have a diagonal: J[{site}, {site}] = {j[site, site]:g}; a spin "
            "does not couple to itself, give zeros"
        )
    return j


def _symmetric_form(j: Float64[np.ndarray, "sites sites"]) -> str:
    """Return the symmetric matrix that keeps the density, in words."""
    if not np.tril(j, -1).any() or not np.triu(j, 1).any():
        return "for J_ij s_i s_j of each edge once, as in a triangle, give J + J.T"
    return "for J_ij s_i s_j of all i and j give J + J.T, for half of it (J + J.T) / 2"


def as_field(field: ArrayLike | float, sites: int) -> Float64[np.ndarray, " sites"]:
    """Return a field as float64, one number per site.

    Args:
        field: h, a number or ``(D,)``.
        sites: D.

    Returns:
        h, ``(D,)`` float64.

    Raises:
        ValueError: if it has another shape, or is not finite.

    Example:
        >>> as_field(0.5, sites=2).tolist()
        [0.5, 0.5]
    """
    h = np.asarray(field, float)
    if h.shape not in ((), (sites,)) or not np.isfinite(h).all():
        raise ValueError(
            f"a field of shape {h.shape}: expected one finite number, or ({sites},)"
        )
    return np.broadcast_to(h, sites)


def erdos_renyi(
    sites: int, degree: float, seed: int = 0, coupling: float | None = None
) -> Float64[np.ndarray, "sites sites"]:
    """Return couplings on a random graph: each edge with probability degree / (D − 1).

    Args:
        sites: D.
        degree: mean number of neighbours of a site.
        seed: seed of the edges and of their couplings.
        coupling: coupling of every edge; default normal of variance 1 / degree, as in
            arXiv:2102.04509.

    Returns:
        J, ``(D, D)``, symmetric, with a zero diagonal.

    Raises:
        ValueError: for a degree outside (0, D − 1].

    Example:
        >>> j = erdos_renyi(100, degree=4)
        >>> j.shape, bool((j == j.T).all())
        ((100, 100), True)
    """
    if not 0 < degree <= sites - 1:
        raise ValueError(f"degree={degree}: expected more than 0, up to {sites - 1}")
    draw = np.random.default_rng(seed)
    edges = np.triu(draw.random((sites, sites)) < degree / (sites - 1), 1)
    weights = draw.normal(0, degree**-0.5, (sites, sites))
    j = np.where(edges, weights if coupling is None else coupling, 0.0)
    return j + j.T


def potts(size: int, states: int, coupling: float) -> Target:
    """Return the Potts model on a periodic lattice: log p = K Σ_edges [x_i = x_j].

    Args:
        size: side of the lattice, at least 3.
        states: values of a site, 2 to 256.
        coupling: K = J / kT, dimensionless.

    Returns:
        The density over ``size²`` sites; its order parameter is 0 where all values are
        equally frequent and 1 where all sites agree.

    Raises:
        ValueError: for a side below 3, or not 2 to 256 values.

    Example:
        >>> target = potts(3, states=4, coupling=0.5)
        >>> agreed = jnp.zeros((9, 4)).at[:, 2].set(1.0)
        >>> float(target.logp(agreed)), float(target.order(agreed))  # 18 edges
        (9.0, 1.0)
    """
    _check_side(size)
    if not 2 <= states <= 256:
        raise ValueError(f"a Potts model of {states} values: expected 2 to 256")

    def grid(x: Relaxed) -> Float[Array, "size size states"]:
        hot = jnp.stack([1 - x, x], 1) if states == 2 else x
        return hot.reshape(size, size, states)

    def bonds(x: Relaxed) -> Float[Array, ""]:
        hot = grid(x)
        return jnp.sum(hot * (jnp.roll(hot, 1, 0) + jnp.roll(hot, 1, 1)))

    def order(x: Relaxed) -> Float[Array, ""]:
        share = jnp.max(jnp.mean(grid(x), (0, 1)))
        return (states * share - 1) / (states - 1)

    return Target(
        lambda x: coupling * bonds(x),
        size**2,
        states,
        multilinear=True,
        colours=_lattice_colours(size),
        energy=lambda x: -bonds(x) / size**2,
        order=order,
    )


def greedy_colouring(couplings: Float[np.ndarray, "sites sites"]) -> tuple[int, ...]:
    """Colour sites such that coupled ones differ: greedily, most coupled first.

    Args:
        couplings: J, ``(D, D)``; zeros are no edges.

    Returns:
        A colour 0, 1, … per site.

    Example:
        >>> greedy_colouring(np.array([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]))
        (1, 0, 1)
    """
    linked = couplings != 0
    colours = np.full(len(linked), -1)
    for site in np.argsort(-linked.sum(1), kind="stable"):
        taken = set(colours[linked[site]].tolist())
        colours[site] = next(c for c in range(len(linked)) if c not in taken)
    return tuple(colours.tolist())


def _lattice_colours(size: int) -> tuple[int, ...]:
    """Return a checkerboard, or three colours that close around an odd side."""
    i, j = np.indices((size, size))
    if size % 2 == 0:
        return tuple(((i + j) % 2).ravel().tolist())
    line = np.arange(size) % 2
    line[-1] = 2  # the last one touches the first
    return tuple(((line[i] + line[j]) % 3).ravel().tolist())


def _check_side(size: int) -> None:
    if size < 3:
        raise ValueError(f"a periodic lattice of side {size}: expected 3 or more")
