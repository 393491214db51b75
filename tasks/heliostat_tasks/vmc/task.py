"""Task ``vmc``: ground states of molecules with sortlets, Metropolis and SPRING."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Key

import heliostat as hs
from heliostat.kernels.vmc.metropolis import adapt_width, metropolis_sweep
from heliostat.kernels.vmc.proposals import Nuclei
from heliostat.kernels.vmc.signed_log import SignedLog
from heliostat_tasks.vmc import estimates
from heliostat_tasks.vmc.chemistry.populations import populations
from heliostat_tasks.vmc.density import Density
from heliostat_tasks.vmc.hamiltonian import LocalEnergy
from heliostat_tasks.vmc.initial_positions import assign_electrons, widths
from heliostat_tasks.vmc.molecules import Molecule
from heliostat_tasks.vmc.parents import adopt_state, check_ansatz
from heliostat_tasks.vmc.phases import EQUILIBRATION, Phase, phase_at
from heliostat_tasks.vmc.rows import averages, mean_shares
from heliostat_tasks.vmc.state import State
from heliostat_tasks.vmc.trainer import Batch, Learned, Trainer
from heliostat_tasks.vmc.validate import check_fields
from heliostat_tasks.vmc.wavefunction.ansatz import Ansatz
from heliostat_tasks.vmc.wavefunction.evaluation import (
    Data,
    compiled,
    energy_function,
    evaluate,
)
from heliostat_tasks.vmc.wavefunction.heads.choice import resolve
from heliostat_tasks.vmc.wavefunction.projection import project

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class VMC(hs.Task):
    """Ground state of a molecule by variational Monte Carlo with a sum of sortlets.

        E[θ] = ⟨E_L⟩_{|ψ_θ|²},    E_L = Hψ/ψ

    One step updates θ by SPRING from the walkers and energies of the previous step,
    moves the walkers by Metropolis and measures E_L, so a row belongs to the state that
    the step returns. After ``train`` steps θ and the proposal are frozen, and rows are
    plain evaluation.

    Raises:
        ValueError: for a molecule or a field that makes no sense, in one line.

    Example:
        >>> VMC(molecule="LiH").molecular.electrons
        4

    Reference: Richter-Powell et al., arXiv:2311.05598; Goldshlager et al.,
    arXiv:2401.10190.
    """

    molecule: str = "LiH"  # built-in name, .xyz file or "Li 0 0 0; H 0 0 1.595"
    charge: int | None = None  # net charge; else of a file's comment line, or 0
    spin: int | None = None  # 2S_z = n_up - n_down; else of a file, by Hund, or lowest
    unit: str | None = None  # unit of lengths in a file or text: angstrom or bohr
    frame: int | None = None  # geometry in a file of several: from 0, or -1, the last
    walkers: int = 256  # Markov chains moved in parallel
    train: int = 3000  # steps that optimise; later ones only evaluate
    moves: int = 10  # small steps of every walker between two energies
    burn_in: int = 300  # moves in the first 20 steps, and before evaluation
    pretrain: int = 150  # first steps, at most a third, that fit sortlets alone to HF
    head: str = "auto"  # sortlet, smooth, banded, vandermonde, determinant, or A+B
    terms: int = 8  # sortlets in the sum
    determinants: int = 4  # determinants in the sum
    features: int = 32  # numbers per electron in the attention backbone
    layers: int = 2  # attention layers
    attention_heads: int = 4  # attention heads per layer
    lr: float = 0.02  # learning rate, dimensionless
    damping: float = 1e-3  # added to the Gram matrix of the scores
    momentum: float = 0.95  # SPRING's decay of the last direction, in [0, 1)
    norm: float = 1e-2  # largest squared length of one parameter update

    task_version = 4
    sharded = ("walkers", "energies")
    stride = 10
    finds = estimates.FINDS
    emits = {
        "energy": hs.Var(units="hartree", about="mean local energy"),
        "variance": hs.Var(units="hartree^2", about="variance of the local energy"),
        "kinetic": hs.Var(units="hartree", about="mean kinetic energy"),
        "acceptance": hs.Var(about="accepted small steps"),
        "proposal": hs.Var(about="width of small steps, in lengths of the density"),
        "update": hs.Var(about="length of the parameter update"),
        "nonfinite": hs.Var(dtype="int32", about="walkers left out as not finite"),
        "skipped": hs.Var(dtype="int32", about="updates skipped as not finite"),
        "share": hs.Var(("head",), about="part of each head in the wavefunction"),
        "overlap": hs.Var(about="squared overlap with Hartree-Fock in pretraining"),
        "evaluating": hs.Var(dtype="int32", about="1 where parameters are frozen"),
    }

    def __post_init__(self) -> None:
        check_fields(self, EQUILIBRATION)
        _ = self.molecular  # a molecule that makes no sense is refused at once

    @property
    def steps(self) -> int:
        """Training steps and a quarter as many of evaluation (at least 100)."""
        return self.train + max(100, self.train // 4)

    @cached_property
    def molecular(self) -> Molecule:
        """Molecule that the fields describe, the same in any order of its nuclei."""
        return Molecule.parse(
            self.molecule, self.charge, self.spin, self.unit, self.frame
        ).ordered()

    @cached_property
    def ansatz(self) -> Ansatz:
        """Wavefunction of this molecule, without its parameters."""
        m = self.molecular
        return Ansatz(
            charges=tuple(m.charges),
            up=m.n_up,
            down=m.n_down,
            features=self.features,
            layers=self.layers,
            attention_heads=self.attention_heads,
            head=resolve(self.head, m.n_up, m.n_down),
            terms=self.terms,
            determinants=self.determinants,
        )

    @property
    def coords(self) -> Mapping[str, tuple[str, ...]]:  # pyright: ignore
        """Names of the heads."""
        return {"head": tuple(self.ansatz.head.split("+"))}

    @property
    def pretrained(self) -> int:
        """Last step of pretraining; 0 for a head that starts as Hartree-Fock does."""
        if not self.ansatz.orbitals or "determinant" in self.ansatz.head:
            return 0
        return min(self.pretrain, self.train // 3)

    def canonical(self) -> dict[str, Any]:
        """Return one spelling per run: inline text in bohr, charge and spin, the names
        of the heads, and 1 for the size of a head that is not there."""
        m, head = self.molecular, self.ansatz.head
        fields = {"charge": m.charge, "spin": m.spin, "unit": "bohr", "frame": None}
        unused = {"terms": 1} if head == "determinant" else {}
        unused |= {} if "determinant" in head else {"determinants": 1}
        kept = {"molecule": m.text(), "head": head, "pretrain": self.pretrained}
        return kept | fields | unused

    def prepare(self) -> Data:
        """Return the molecule as arrays, and where its electrons start."""
        m, data = self.molecular, self._nuclei
        assigned = assign_electrons(data.nuclei, populations(m), m.n_up, m.n_down)
        width = widths(m.charges, assigned, m.n_up)
        orbitals = self.ansatz.orbitals
        return data._replace(
            centres=data.nuclei[assigned],
            widths=width,
            orbitals=project(m, orbitals) if orbitals else (),
        )

    @property
    def _nuclei(self) -> Data:
        """Nuclei and charges, without Hartree-Fock."""
        m = self.molecular
        return Data(np.array(m.positions, float), np.array(m.charges, float))

    def init(self, key: Key[Array, ""], replica: Array, data: Data) -> State:
        """Draw walkers around the nuclei, and the parameters of the first guess.

        Args:
            key: key of this replica and step 0.
            replica: its index, always 0.
            data: from :meth:`prepare`.

        Returns:
            The state before the first step.
        """
        walker_key, params_key = jax.random.split(key)
        centres, width = (jnp.asarray(v, float) for v in (data.centres, data.widths))
        noise = jax.random.normal(walker_key, (self.walkers, *centres.shape))
        nuclei = jnp.asarray(data.nuclei, float)
        params = self.ansatz.init(params_key, nuclei, data.orbitals)
        return State(
            step=jnp.zeros((), jnp.int32),
            nuclei=nuclei,
            walkers=centres[None] + width[None, :, None] * noise,
            energies=jnp.zeros(self.walkers),  # all equal: the first update is zero
            params=params,
            momentum=jnp.zeros_like(ravel_pytree(params)[0]),
            width=jnp.asarray(0.3, float),
            scale=jnp.zeros(()),
            pretrain=jnp.asarray(self.pretrained, jnp.int32),
        )

    def step(
        self, key: Key[Array, ""], state: State, data: Data
    ) -> tuple[State, dict[str, Array]]:
        """Update the parameters, move the walkers, and measure the local energy.

        Args:
            key: key of this replica and step.
            state: after the previous step.
            data: from :meth:`prepare`.

        Returns:
            The next state, and the row of its walkers.
        """
        data, step = data._replace(nuclei=state.nuclei), state.step + 1
        phase = phase_at(
            step,
            pretrain=state.pretrain,
            train=self.train,
            moves=self.moves,
            burn_in=self.burn_in,
        )
        state, update = self._update(state._replace(step=step), data, phase)
        density = Density(self.ansatz, data, phase, state.scale, self.pretrained > 0)
        walkers, accepted = self._move(key, state, density)
        energy_of = energy_function(self.ansatz, state.params, data)
        energy = jax.vmap(energy_of)(walkers)
        weights = density.weights(state.params, walkers)
        row = averages(energy, accepted, state.width, weights) | update
        nuclei = jnp.asarray(data.nuclei, walkers.dtype)
        row["share"] = mean_shares(self.ansatz, state.params, walkers, nuclei)
        row["evaluating"] = 1 - phase.training.astype(jnp.int32)
        width = adapt_width(state.width, row["acceptance"], phase.adapting)
        return state._replace(walkers=walkers, energies=energy.total, width=width), row

    def adopt(self, state: State, data: Data) -> State:
        """Start from a trained wavefunction; training, if any, begins anew.

        Args:
            state: of the parent, perhaps with other nuclei, or more walkers.
            data: from :meth:`prepare`.

        Returns:
            The state before the first step.
        """
        return adopt_state(state, self.ansatz, data, self.walkers)

    def check_parent(self, parent: VMC) -> None:
        """Refuse a parent whose wavefunction has other nuclei, electrons or sizes.

        Args:
            parent: its task.

        Raises:
            RequestError: for the first of them that differs.
        """
        check_ansatz(parent.ansatz, self.ansatz)

    def headline(self, rows: xr.Dataset) -> Mapping[str, hs.Estimate]:
        """Estimate the energy, and compare it with quantum chemistry.

        Args:
            rows: rows of the run so far, with dim ``step``.

        Returns:
            Energies in hartree by name, the variance, and the correlation fraction.
        """
        return estimates.headline(rows, self.molecular, self.walkers)

    def logpsi(self, state: State, x: Float[Array, "*batch n 3"]) -> SignedLog:
        """Evaluate the wavefunction of a state.

        Args:
            state: whose parameters are used.
            x: electrons in bohr, spin up first.

        Returns:
            Sign and log|Ψ|, each ``(*batch)``.
        """
        data = self._nuclei._replace(nuclei=state.nuclei)
        return evaluate(compiled(self.ansatz), data, state.params, x)

    def local_energy(
        self, state: State, x: Float[Array, "*batch n 3"], method: str = "forward"
    ) -> LocalEnergy:
        """Evaluate E_L and its parts; at ``state.walkers`` these are the last row's.

        Args:
            state: whose parameters are used.
            x: electrons in bohr, spin up first.
            method: method of the Laplacian, ``"forward"`` or ``"hessian"``.

        Returns:
            Total, kinetic and potential energy in hartree, each ``(*batch)``.
        """
        data = self._nuclei._replace(nuclei=state.nuclei)
        return evaluate(compiled(self.ansatz, method), data, state.params, x)

    def _move(
        self, key: Key[Array, ""], state: State, density: Density
    ) -> tuple[Float[Array, "walkers n 3"], Float[Array, " walkers"]]:
        """Move the walkers by Metropolis."""
        data, moves = density.data, density.phase.moves
        nuclei = Nuclei(*(jnp.asarray(v, float) for v in (data.nuclei, data.charges)))
        settings = state.width, moves, nuclei, self.molecular.n_up
        log = partial(density.log, state.params)
        return metropolis_sweep(log, key, state.walkers, *settings)

    def _update(
        self, state: State, data: Data, phase: Phase
    ) -> tuple[State, dict[str, Array]]:
        """Take one step of the trainer."""
        rates = self.lr, self.damping, self.momentum, self.norm
        trainer = Trainer(self.ansatz, *rates, self.pretrained > 0)
        learned = Learned(state.params, state.momentum, state.scale)
        batch = Batch(state.walkers, state.energies)
        (params, momentum, scale), row = trainer.update(learned, batch, data, phase)
        return state._replace(params=params, momentum=momentum, scale=scale), row
