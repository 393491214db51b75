"""Ground states of molecules: variational Monte Carlo with sortlets and SPRING."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

import heliostat as hs
from heliostat.kernels.vmc.metropolis import adapt_width, metropolis_sweep
from heliostat.kernels.vmc.sharding import replicate
from heliostat.kernels.vmc.sortlet import SignedLog
from heliostat.kernels.vmc.spring import constrain_norm, spring
from heliostat_tasks.vmc import estimates
from heliostat_tasks.vmc.ansatz import Ansatz, Params
from heliostat_tasks.vmc.hamiltonian import LocalEnergy, coulomb, local_energy
from heliostat_tasks.vmc.molecule import Molecule
from heliostat_tasks.vmc.start import homes, spreads

if TYPE_CHECKING:
    import xarray as xr


SETTLE = 20
"""First steps, in which walkers find |ψ|² and the proposal its width, and no more."""


class Data(NamedTuple):
    """The molecule as arrays."""

    nuclei: Any  # (M, 3) bohr
    charges: Any  # (M,) elementary charges
    start: Any  # (n, 3) bohr, where electrons start
    spread: Any  # (n,) bohr, how far around it


class State(NamedTuple):
    """Walkers, and the wavefunction they follow.

    ``energies`` are those of ``walkers`` under ``params``: the last row's.
    """

    step: Array  # () int32, steps taken
    walkers: Array  # (walkers, n, 3) bohr
    energies: Array  # (walkers,) hartree
    params: Params
    momentum: Array  # (P,) SPRING's φ
    width: Array  # () bohr


@dataclass(frozen=True)
class VMC(hs.Task):
    """The ground state of a molecule, ψ = Σ of sortlets, by energy minimisation.

        E[θ] = ⟨E_L⟩_{|ψ_θ|²},    E_L = Hψ/ψ

    One step updates θ (SPRING) from the walkers and energies of the last one, moves the
    walkers by Metropolis and measures E_L: a row always belongs to the state it leaves.
    After ``train`` steps θ and the proposal are frozen and rows are plain evaluation.

    Example:
        >>> VMC(molecule="LiH").molecular.electrons
        4

    Reference: Richter-Powell et al., arXiv:2311.05598; Goldshlager et al.,
    arXiv:2401.10190.
    """

    molecule: str = "LiH"  # built-in name, .xyz file or "Li 0 0 0; H 0 0 1.595"
    charge: int = 0  # net charge, elementary charges
    spin: int | None = None  # n_up - n_down; lowest of the element or molecule
    unit: str | None = None  # of a file's or inline text's lengths; angstrom or bohr
    walkers: int = 256  # Markov chains moved in parallel
    train: int = 3000  # steps that optimise; later ones only evaluate
    moves: int = 10  # Metropolis moves of every walker between two energies
    burn_in: int = 300  # moves before the first step and before evaluation
    terms: int = 8  # sortlets in the sum
    features: int = 32  # numbers per electron in the attention backbone
    layers: int = 2  # attention layers
    heads: int = 4  # attention heads per layer
    smooth: bool = False  # gaps l tanh(g/l) instead of g
    lr: float = 0.05  # learning rate, dimensionless
    damping: float = 1e-3  # added to the Gram matrix of the scores
    momentum: float = 0.95  # SPRING's decay of the last direction, in [0, 1)
    norm: float = 1e-3  # largest squared length of one parameter update

    task_version = 2
    sharded = ("walkers", "energies")
    stride = 10
    emits = {
        "energy": hs.Var(units="hartree", about="mean local energy"),
        "variance": hs.Var(units="hartree^2", about="variance of the local energy"),
        "kinetic": hs.Var(units="hartree", about="mean kinetic energy"),
        "acceptance": hs.Var(about="accepted Metropolis moves"),
        "proposal": hs.Var(units="bohr", about="standard deviation of a move"),
        "update": hs.Var(about="length of the parameter update"),
        "nonfinite": hs.Var(dtype="int32", about="walkers left out as not finite"),
        "skipped": hs.Var(dtype="int32", about="updates skipped as not finite"),
        "evaluating": hs.Var(dtype="int32", about="1 where parameters are frozen"),
    }

    def __post_init__(self) -> None:
        positive = (
            "walkers",
            "moves",
            "burn_in",
            "terms",
            "features",
            "layers",
            "heads",
        )
        for name in positive:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if 0 < self.train <= SETTLE:
            raise ValueError(
                f"train must be 0 or more than {SETTLE}, the steps in which walkers "
                f"settle before parameters move, got {self.train}"
            )
        for name in ("train", "lr", "damping", "norm"):
            if not getattr(self, name) >= 0:
                raise ValueError(
                    f"{name} must not be negative, got {getattr(self, name)}"
                )
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.features % self.heads:
            raise ValueError(
                "features must be a multiple of heads, "
                f"got {self.features} and {self.heads}"
            )
        _ = self.molecular  # says now, in one line, what is wrong with the molecule

    @property
    def steps(self) -> int:
        """Training, and an evaluation a quarter as long (at least 100 steps)."""
        return self.train + max(100, self.train // 4)

    @cached_property
    def molecular(self) -> Molecule:
        """The molecule that the fields describe."""
        return Molecule.parse(
            self.molecule, charge=self.charge, spin=self.spin, unit=self.unit
        )

    @cached_property
    def ansatz(self) -> Ansatz:
        """The wavefunction's shape."""
        m = self.molecular
        return Ansatz(
            charges=tuple(m.charges),
            up=m.n_up,
            down=m.n_down,
            features=self.features,
            layers=self.layers,
            heads=self.heads,
            terms=self.terms,
            smooth=self.smooth,
        )

    def canonical(self) -> dict[str, Any]:
        """One spelling per molecule: inline text in bohr, charge and spin given."""
        m = self.molecular
        fields = {"charge": m.charge, "spin": m.spin, "unit": "bohr"}
        return {"molecule": m.text(), **fields}

    def prepare(self) -> Data:
        m = self.molecular
        nuclei = np.array(m.positions, dtype=float)
        home = homes(m.charges, m.n_up, m.n_down)
        spread = spreads(m.charges, home, m.n_up)
        return Data(nuclei, np.array(m.charges, dtype=float), nuclei[home], spread)

    def init(self, key: Array, replica: Array, data: Data) -> State:
        spreading, weighing = jax.random.split(key)
        start, spread = jnp.asarray(data.start, float), jnp.asarray(data.spread, float)
        away = jax.random.normal(spreading, (self.walkers, *start.shape))
        params = self.ansatz.init(weighing, jnp.asarray(data.nuclei, float))
        return State(
            step=jnp.zeros((), jnp.int32),
            walkers=start[None] + spread[None, :, None] * away,
            energies=jnp.zeros(self.walkers),  # all equal: the first update is none
            params=params,
            momentum=jnp.zeros_like(ravel_pytree(params)[0]),
            width=jnp.asarray(0.3, float),
        )

    def step(
        self, key: Array, state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        state = state._replace(step=state.step + 1)
        training = state.step <= self.train
        state, update = self._learn(state, data, training)
        settling = state.step <= SETTLE
        settle = jnp.where(settling, -(-self.burn_in // SETTLE), self.moves)
        moves = jnp.where(state.step == self.train + 1, self.burn_in, settle)
        logpsi = partial(self._log, state.params, data=data)
        walkers, accepted = metropolis_sweep(
            logpsi, key, state.walkers, state.width, moves
        )
        energy = jax.vmap(self._energy(state.params, data))(walkers)
        row = _row(energy, accepted, state.width) | update
        row["evaluating"] = 1 - training.astype(jnp.int32)
        adapted = adapt_width(
            state.width, row["acceptance"], jnp.where(settling, 1.0, 0.1)
        )
        width = jnp.where(training, adapted, state.width)
        return state._replace(walkers=walkers, energies=energy.total, width=width), row

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        return estimates.headline(rows, self.molecular)

    def logpsi(self, state: State, x: Array) -> SignedLog:
        """Sign and log|Ψ| of electrons ``(..., n, 3)`` in bohr, spin up first."""
        return _over(_program(self.ansatz), self.prepare(), state.params, x)

    def local_energy(
        self, state: State, x: Array, method: str = "forward"
    ) -> LocalEnergy:
        """E_L and its parts at electrons ``(..., n, 3)``, hartree.

        At ``state.walkers`` it gives ``state.energies``, whose mean is the last row.
        """
        program = _program(self.ansatz, method)
        return _over(program, self.prepare(), state.params, x)

    def _log(self, params: Params, x: Array, data: Data) -> Array:
        return _psi(self.ansatz, params, x, data).log

    def _energy(self, params: Params, data: Data) -> Any:
        return _energy(self.ansatz, params, data)

    def _learn(self, state: State, data: Data, training: Array) -> tuple[State, dict]:
        """One SPRING update while training, none after."""
        flat, unravel = ravel_pytree(state.params)

        def learn(flat: Array, last: Array) -> tuple[Array, Array, Array, Array]:
            scores = self._scores(state, data)
            direction = spring(
                scores, state.energies, last, self.damping, self.momentum
            )
            rate = self.lr * schedule(state.step, self.train)
            change = constrain_norm(direction, rate, self.norm)
            good = jnp.all(jnp.isfinite(change))
            change = jnp.where(good, change, 0.0)
            momentum = jnp.where(good, direction, 0.0)
            length = jnp.linalg.norm(change)
            return flat + change, momentum, length, 1 - good.astype(jnp.int32)

        def rest(flat: Array, last: Array) -> tuple[Array, Array, Array, Array]:
            return flat, last, jnp.zeros(()), jnp.zeros((), jnp.int32)

        flat, last, length, skipped = jax.lax.cond(
            training, learn, rest, flat, state.momentum
        )
        state = state._replace(params=unravel(flat), momentum=last)
        return state, {"update": length, "skipped": skipped}

    def _scores(self, state: State, data: Data) -> Array:
        """∂ log|Ψ|/∂θ of every walker, ``(walkers, P)``."""
        score = jax.grad(partial(self._log, data=data))
        leaves = jax.tree.leaves(
            jax.vmap(score, (None, 0))(state.params, state.walkers)
        )
        return jnp.concatenate(
            [leaf.reshape(self.walkers, -1) for leaf in leaves], axis=1
        )


def _psi(ansatz: Ansatz, params: Params, x: Array, data: Data) -> SignedLog:
    return ansatz(params, x, jnp.asarray(data.nuclei, x.dtype))


def _energy(
    ansatz: Ansatz, params: Params, data: Data, method: str = "forward"
) -> Callable[[Array], LocalEnergy]:
    nuclei = jnp.asarray(data.nuclei, float)
    charges = jnp.asarray(data.charges, float)
    return local_energy(
        lambda x: _psi(ansatz, params, x, data).log,
        partial(coulomb, nuclei=nuclei, charges=charges),
        method,
    )


@lru_cache(maxsize=8)
def _program(ansatz: Ansatz, method: str | None = None) -> Any:
    """log|Ψ|, or E_L by a method, of many walkers: compiled once per shape."""

    def one(params: Params, x: Array, data: Data) -> Any:
        with jax.default_matmul_precision("highest"):  # as in runs
            if method is None:
                return _psi(ansatz, params, x, data)
            return _energy(ansatz, params, data, method)(x)

    return jax.jit(jax.vmap(one, (None, 0, None)))


def _over(program: Any, data: Data, params: Params, x: Array) -> Any:
    """A program's values at electrons with any leading axes ``(..., n, 3)``.

    In the precision of the parameters, which is that of the run they come from.
    """
    dtype = params["weight"].dtype
    with jax.enable_x64(dtype == jnp.float64):
        x = jnp.asarray(x, dtype)
        values = program(params, x.reshape(-1, *x.shape[-2:]), data)
        return jax.tree.map(lambda v: v.reshape(x.shape[:-2]), values)


def schedule(step: Array, train: int, warm: int = 50) -> Array:
    """The learning rate's course: nothing while walkers settle, then a linear rise, a
    plateau and a linear fall.

    Args:
        step: from 1.
        train: last training step.
        warm: steps of the rise; the first directions are the wildest.
    """
    progress = step / max(train, 1)
    fall = jnp.clip((1 - progress) / 0.6, 0.02, 1.0)
    return jnp.clip((step - SETTLE) / warm, 0.0, 1.0) * fall


def _row(energy: LocalEnergy, accepted: Array, width: Array) -> dict[str, Array]:
    """What a step tells of its walkers; not-finite ones are left out and counted."""
    # three numbers per walker: gathered, so that every layout sums in the same order
    total, kinetic, accepted = replicate(
        jnp.stack([energy.total, energy.kinetic, accepted])
    )
    valid = jnp.isfinite(total)
    count = jnp.sum(valid)  # none: NaN, and no number that looks like an energy
    mean = lambda v: jnp.sum(jnp.where(valid, v, 0.0)) / count  # noqa: E731
    average = mean(total)
    return {
        "energy": average,
        "variance": mean((total - average) ** 2),
        "kinetic": mean(kinetic),
        "acceptance": jnp.mean(accepted),
        "proposal": width,
        "nonfinite": jnp.sum(~valid).astype(jnp.int32),
    }
