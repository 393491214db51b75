"""Numerics that know neither tasks nor runs: every kernel can be used without either.

    discrete     states of discrete variables: targets, samplers, estimates of log Z
    diagnostics  convergence of many chains, errors of correlated series
    implicit     gradients through the solution of an inner problem
    games        differentiable games: complex momentum, spectra, rates
    vmc          variational Monte Carlo
    best_of      the expected best of N samples
    merkle       Merkle trees and their proofs

Kernels are written for one walker, chain or item; the caller vmaps.

Example:
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from heliostat.kernels import gibbs_with_gradients, ising
    >>> kernel = gibbs_with_gradients(ising(10, coupling=0.4))
    >>> chain = kernel.init(jnp.zeros(100, jnp.uint8))
    >>> chain, info = jax.jit(kernel.step)(jax.random.key(0), chain)
    >>> chain.x.shape, info.hops.shape
    ((100,), ())
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = {
    "discrete.annealing": "anneal two_sided",
    "discrete.chain": "Chain Info MarkovKernel Sizes Tilt lazy",
    "discrete.densities": "curie_weiss ebm fhmm independent rbm",
    "discrete.chromatic": "chromatic",
    "discrete.gibbs": "block_gibbs random_scan_gibbs random_scan_metropolis",
    "discrete.hamming_ball": "hamming_ball",
    "discrete.kawasaki": "kawasaki",
    "discrete.lattices": "erdos_renyi ising pairwise potts",
    "discrete.proposals": (
        "dmala dula gibbs_with_gradients informed locally_balanced multi_flip "
        "path_auxiliary"
    ),
    "discrete.sequential": "smc",
    "discrete.target": ("Target checked_state exact_gains relaxed value_and_gains"),
    "discrete.validate": "check_target",
    "discrete.tempering": "Ladder tempered",
    "convergence": "ConvergenceWarning",
    "diagnostics.convergence": "ess_bulk ess_tail mcse_mean nested_rhat rhat summary",
    "diagnostics.estimates": "ess_estimate rhat_estimate",
    "diagnostics.states": "rhat_of_states",
    "games.adam": "complex_adam scale_by_complex_adam",
    "games.arnoldi": "extreme_eigenvalues jacobian_product",
    "games.directions": (
        "competitive consensus extragradient joint_gradient lola symplectic_adjustment"
    ),
    "games.momentum": (
        "aggregated_momentum complex_momentum linked_momentum scale_by_complex_momentum"
    ),
    "games.optima": "best_correction best_momentum",
    "games.play": "GameState play_round",
    "games.radii": (
        "alternating_radius extragradient_radius optimistic_radius simultaneous_radius"
    ),
    "games.rates": "RateFit fit_rate",
    "games.spectrum": (
        "alternating_jacobian augmented_jacobian is_schur_stable momentum_cubic "
        "spectral_radius"
    ),
    "implicit.hypergradients": "Hypergradient descend hypergradient unrolled",
    "implicit.inverse_hessian": "Identity Neumann Proximal hvp inverse_hvp",
    "implicit.krylov": "ConjugateGradient GMRES NormalCG",
    "implicit.pseudo_inverse": "PseudoInverse",
    "implicit.regularity": "Diagnosis ImplicitFunctionWarning diagnose",
    "implicit.solutions": "projected",
}

_NAMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = sorted(_NAMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'heliostat.kernels' has no attribute '{name}'")
    return getattr(import_module(f"heliostat.kernels.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_NAMES])
