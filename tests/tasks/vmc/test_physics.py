"""Physics that must hold whatever the parameters: the laws of the vmc task."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heliostat.kernels.vmc.laplacian import derivatives
from heliostat.kernels.vmc.metropolis import metropolis_sweep
from heliostat.kernels.vmc.sortlet import sortlet
from heliostat.kernels.vmc.spring import spring
from heliostat.system.jit import jit
from heliostat_tasks.vmc import VMC
from heliostat_tasks.vmc.hamiltonian import coulomb, local_energy
from heliostat_tasks.vmc.phases import EQUILIBRATION
from heliostat_tasks.vmc.wavefunction.evaluation import wavefunction
from heliostat_tasks.vmc.wavefunction.slater import slater_exponents

TINY = {"features": 8, "layers": 1, "attention_heads": 2, "terms": 3}
SMALL = TINY | {"walkers": 16, "train": EQUILIBRATION + 3, "moves": 2, "burn_in": 40}


def first(task, seed=0):
    """The state before the first step; jitted, since op by op takes seconds."""
    return jit(lambda key: task.init(key, 0, task.prepare()))(jax.random.key(seed))


@lru_cache
def stirred(task, seed=0):
    """A state whose parameters are no longer the first guess."""
    state = first(task, seed)
    leaves, tree = jax.tree.flatten(state.params)
    draw = np.random.default_rng(seed + 1)
    moved = [leaf + 0.2 * draw.normal(size=leaf.shape) for leaf in leaves]
    return state._replace(params=jax.tree.unflatten(tree, moved))


def sample(task, count=3, seed=0):
    start = task.prepare().centres
    draw = np.random.default_rng(seed)
    return jnp.asarray(start[None] + draw.normal(size=(count, *start.shape)))


def psi(task, state, points):
    """At four points or more: of one shape, so that all tests share a program."""
    padded = [*points, *[points[-1]] * (4 - len(points))]
    return task.logpsi(state, jnp.stack(padded))


HEADS = [
    ("B", "determinant+smooth"),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [
            ("LiH", "sortlet"),
            ("LiH", "vandermonde"),
            ("N", "sortlet"),
            ("N", "banded"),
            ("N", "vandermonde"),
            ("C", "determinant"),
            ("Be", "hybrid"),
            ("B", "determinant+banded"),
            ("B", "smooth+vandermonde"),
        ]
    ),
]


@pytest.mark.parametrize(("molecule", "head"), HEADS)
def test_psi_changes_sign_under_every_swap_of_equal_spins(x64, molecule, head):
    task = VMC(molecule=molecule, head=head, determinants=2, **TINY)
    state, [x] = stirred(task), sample(task, 1)
    up, n = task.ansatz.up, len(x)
    same = [(i, j) for i in range(n) for j in range(i) if (i < up) == (j < up)]
    swapped = [x.at[jnp.array([i, j])].set(x[jnp.array([j, i])]) for i, j in same]
    sign, log = psi(task, state, [x, *swapped])
    last = len(same) + 1
    np.testing.assert_array_equal(sign[1:last], -sign[0] * np.ones(len(same)))
    np.testing.assert_allclose(log[1:last], log[0] * np.ones(len(same)), atol=1e-11)


@pytest.mark.slow
def test_opposite_spins_are_told_apart(x64):
    """Swapping them may change |ψ|; otherwise spin would have no effect."""
    task = VMC(molecule="LiH", **TINY)
    state, [x] = stirred(task), sample(task, 1)
    both = psi(task, state, [x, x[jnp.array([2, 1, 0, 3])]])
    assert abs(both.log[0] - both.log[1]) > 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("molecule", "head"), [h for h in HEADS if len(h) == 2])
def test_forward_laplacian_equals_the_hessian(x64, molecule, head):
    task = VMC(molecule=molecule, head=head, **TINY)
    state, x = stirred(task), sample(task)
    fast, slow = task.local_energy(state, x), task.local_energy(state, x, "hessian")
    np.testing.assert_allclose(fast.kinetic, slow.kinetic, rtol=1e-8)
    np.testing.assert_allclose(fast.total, slow.total, rtol=1e-8)


def slope(task, state, x, mover, centre):
    """d log|ψ|/dr as electron ``mover`` leaves ``centre``, averaged over directions.

    The smooth part of log|ψ| is odd in the direction to first order and drops out.
    """
    towards = np.random.default_rng(5).normal(size=(1, 3))
    towards = towards / np.linalg.norm(towards)
    r = 1e-5 * np.array([1.0, 2.0])
    places = [x.at[mover].set(centre + s * d * towards[0]) for d in r for s in (1, -1)]
    logs = np.asarray(psi(task, state, places).log).reshape(2, 2).mean(1)
    return (logs[1] - logs[0]) / (r[1] - r[0])


@pytest.mark.parametrize(("nucleus", "charge"), [(0, 3), (1, 1)])
def test_nuclear_cusps_are_exact(x64, nucleus, charge):
    """d log|ψ|/dr = −Z at a nucleus (Kato), at any parameters."""
    task = VMC(molecule="LiH", **TINY)
    state, [x] = stirred(task), sample(task, 1)
    centre = jnp.asarray(task.prepare().nuclei[nucleus])
    assert slope(task, state, x, 0, centre) == pytest.approx(-charge, abs=1e-3)


@pytest.mark.parametrize(("partner", "cusp"), [(1, 0.25), (2, 0.5)])
def test_electron_cusps_are_exact(x64, partner, cusp):
    """½ for opposite spins; ¼ for parallel ones, beside the node log r."""
    task = VMC(molecule="LiH", **TINY)
    state, [x] = stirred(task), sample(task, 1)
    difference = slope(task, state, x, 0, x[partner])
    node = np.log(2) / 1e-5 if partner == 1 else 0.0
    assert difference - node == pytest.approx(cusp, abs=2e-3)


def test_the_hydrogen_ground_state_has_one_local_energy(x64):
    nucleus, charge = jnp.zeros((1, 3)), jnp.ones(1)
    energy = local_energy(
        lambda x: -jnp.linalg.norm(x), partial(coulomb, nuclei=nucleus, charges=charge)
    )
    points = jax.random.normal(jax.random.key(0), (50, 1, 3))
    np.testing.assert_allclose(jit(jax.vmap(energy))(points).total, -0.5, atol=1e-12)


@pytest.mark.slow
def test_the_ansatz_holds_the_hydrogen_ground_state(x64):
    """With ζ = 1 the envelope and the cusp make e^{−r}, whatever the cusp's range."""
    task = VMC(molecule="H", **TINY)
    state = first(task)
    (head,) = state.params["heads"]
    exact = state.params | {"heads": [head | {"zeta": jnp.zeros_like(head["zeta"])}]}
    energy = task.local_energy(state._replace(params=exact), sample(task, 20))
    np.testing.assert_allclose(energy.total, -0.5, atol=1e-9)


def trap(x):
    """The isotropic harmonic potential, frequency 1."""
    return jnp.sum(x**2) / 2


def fermions(x, a=0.5, spanned=False):
    """log|ψ| of equal-spin fermions on a line, the sortlet scored by position."""
    q = x[:, 0]
    span = jnp.log(jnp.max(q) - jnp.min(q)) if spanned else 0.0
    return sortlet(q).log + span - a * jnp.sum(x**2)


@pytest.mark.parametrize(
    ("n", "dims", "spanned", "exact"),
    [(2, 1, False, 2.0), (2, 3, False, 4.0), (3, 1, True, 4.5)],
)
def test_trapped_fermions_have_their_exact_energy(x64, n, dims, spanned, exact):
    """Levels ½, 3/2, 5/2 filled; two gaps and the span are the Vandermonde product."""
    energy = local_energy(partial(fermions, spanned=spanned), trap)
    points = jax.random.normal(jax.random.key(1), (40, n, dims))
    np.testing.assert_allclose(jit(jax.vmap(energy))(points).total, exact, rtol=1e-9)


def test_the_open_chain_of_three_pays_for_its_kink(x64):
    """⟨E_L⟩ = Rayleigh quotient = 4.76004 on a grid: no δ-term hides at the nodes.

    Between the nodes all is smooth, so Gauss-Legendre over one ordering is exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss(40)
    axes = np.meshgrid(6 * nodes, 4 * (nodes + 1), 4 * (nodes + 1), indexing="ij")
    centre, left, right = (jnp.asarray(axis) for axis in axes)
    ordered = jnp.stack([centre - left, centre, centre + right], -1).reshape(-1, 3, 1)
    density, rayleigh, local = jit(jax.vmap(_energies))(ordered)
    density = density * np.einsum("i,j,k->ijk", weights, weights, weights).ravel()
    density = density / density.sum()
    assert float(density @ local) == pytest.approx(4.76004, abs=1e-5)
    assert float(density @ rayleigh) == pytest.approx(4.76004, abs=1e-5)


def _energies(x):
    log, gradient, laplacian = derivatives(fermions)(x)
    square = jnp.sum(gradient**2)
    kinetic = -0.5 * (laplacian + square)
    return jnp.exp(2 * log), 0.5 * square + trap(x), kinetic + trap(x)


@pytest.mark.slow
def test_half_the_squared_gradient_is_the_kinetic_energy():
    """½⟨|∇ log|ψ||²⟩ = ⟨T⟩ for the whole ansatz, sampled: within four sigma."""
    task = VMC(molecule="Li", walkers=1024, **TINY)
    state = first(task)
    data = task.prepare()

    def logpsi(x):
        return wavefunction(task.ansatz, state.params, x, data).log

    @jit
    def differences(key, walkers):
        walkers, _ = metropolis_sweep(logpsi, key, walkers, jnp.array(0.25), 40)
        values = jax.vmap(derivatives(logpsi))(walkers)
        square = jnp.sum(values.gradient**2, axis=(1, 2))
        return walkers, jnp.mean(0.5 * square + 0.5 * (values.laplacian + square))

    walkers, means = state.walkers, []
    for i in range(36):
        walkers, mean = differences(jax.random.key(i), walkers)
        means.append(float(mean))
    means = np.array(means[6:])  # the first are on their way to |ψ|²
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean()) < 4 * error
    assert error < 0.2


@pytest.mark.slow
def test_spring_finds_the_ground_state_of_two_trapped_fermions():
    """The kernels alone: from a = 0.2 to the exact a = ½, E = 2 and no variance."""

    @jit
    def step(key, walkers, a, last):
        walkers, _ = metropolis_sweep(
            lambda x: fermions(x, a), key, walkers, jnp.array(0.8), 10
        )
        energy = jax.vmap(local_energy(lambda x: fermions(x, a), trap))(walkers).total
        score = jax.vmap(lambda x: jax.grad(lambda b: fermions(x, b))(a))(walkers)
        direction = spring(score[:, None], energy, last, 1e-4, 0.5)
        return walkers, a - 0.3 * direction[0], direction, energy

    walkers = jax.random.normal(jax.random.key(0), (200, 2, 1))
    a, last = jnp.array(0.2), jnp.zeros(1)
    for i in range(60):
        walkers, a, last, energy = step(jax.random.key(i), walkers, a, last)
    assert float(a) == pytest.approx(0.5, abs=2e-3)
    assert float(energy.mean()) == pytest.approx(2.0, abs=1e-3)
    assert float(energy.var()) < 1e-4


@lru_cache
def compiled(task):
    """One program per task, shared by all tests."""
    return jit(task.step)


def unrolled(task, steps, seed=0):
    """Rows and last state of a few steps, outside the platform."""
    data, key = task.prepare(), jax.random.key(seed)
    state, rows, step = first(task, seed), [], compiled(task)
    for t in range(1, steps + 1):
        state, row = step(jax.random.fold_in(key, t), state, data)
        rows.append({name: np.asarray(value) for name, value in row.items()})
    return state, rows, step


@pytest.mark.slow
def test_the_last_state_reproduces_the_last_row_in_both_phases():
    task = VMC(molecule="He", **SMALL)
    for steps in (task.train - 1, task.train + 2):
        state, rows, step = unrolled(task, steps)
        assert int(rows[-1]["evaluating"]) == (steps > task.train)
        again = task.local_energy(state, state.walkers)
        np.testing.assert_allclose(again.total, state.energies, rtol=2e-4, atol=2e-3)
        assert float(again.total.mean()) == pytest.approx(rows[-1]["energy"], abs=1e-3)
        assert step._cache_size() == 1  # one trace serves both phases


@pytest.mark.slow
def test_evaluation_freezes_the_wavefunction_and_the_proposal():
    task = VMC(molecule="He", **SMALL)
    before, *_ = unrolled(task, task.train)
    after, rows, _ = unrolled(task, task.train + 3)
    widths = {float(row["proposal"]) for row in rows[task.train :]}
    assert widths == {float(after.width)} == {float(before.width)}
    for a, b in zip(*map(jax.tree.leaves, (before.params, after.params)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_walkers_that_are_not_finite_are_counted_and_left_out():
    task = VMC(molecule="He", **SMALL)
    state, _, step = unrolled(task, task.train - 1)
    hurt = state._replace(
        walkers=state.walkers.at[0].set(jnp.nan),
        energies=state.energies.at[0].set(jnp.nan),
    )
    after, row = step(jax.random.key(7), hurt, task.prepare())
    assert int(row["nonfinite"]) == 1 and int(row["skipped"]) == 0
    assert np.isfinite(row["energy"]) and float(row["update"]) > 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))


@pytest.mark.slow
def test_an_update_that_is_not_finite_is_skipped_and_counted():
    task = VMC(molecule="He", **SMALL)
    state, _, step = unrolled(task, task.train - 1)
    hurt = state._replace(momentum=state.momentum.at[0].set(jnp.inf))
    after, row = step(jax.random.key(7), hurt, task.prepare())
    assert int(row["skipped"]) == 1 and float(row["update"]) == 0
    for a, b in zip(*map(jax.tree.leaves, (state.params, after.params)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(jnp.abs(after.momentum).max()) == 0


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"molecule": "H"}, marks=pytest.mark.slow),
        pytest.param({"molecule": "H2", "spin": 2}, marks=pytest.mark.slow),
        pytest.param(
            {"molecule": "O 0 0 0; H 0 0 0.97", "charge": -1, "head": "smooth"},
            marks=pytest.mark.slow,
        ),
        pytest.param({"molecule": "He", "charge": 1}, marks=pytest.mark.slow),
        pytest.param({"molecule": "N"}, marks=pytest.mark.slow),
        pytest.param({"molecule": "Na 0 0 0"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_steps_are_finite_for_all_kinds_of_molecules(fields):
    task = VMC(**(SMALL | {"walkers": 4}), **fields)
    state, rows, _ = unrolled(task, task.train + 1)
    assert state.walkers.shape == (4, task.molecular.electrons, 3)
    assert all(np.isfinite(row["energy"]) for row in rows)
    assert sum(int(row["nonfinite"]) for row in rows) == 0


def test_one_molecule_has_one_canonical_form(tmp_path):
    file = tmp_path / "lih.xyz"
    file.write_text("2\nlithium hydride\nLi 0 0 0\nH 0 0 1.6\n")
    inline = VMC(molecule="Li 0 0 0; H 0 0 1.6")
    assert VMC(molecule=str(file)).canonical() == inline.canonical()
    again = VMC(**inline.canonical())
    assert again.canonical() == inline.canonical()
    assert again.molecular.positions == inline.molecular.positions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"molecule": "LiF2X"}, "LiF2X"),
        ({"molecule": "H", "spin": 0}, "spin"),
        ({"walkers": -4}, "walkers must be positive, got -4"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        (
            {"features": 30, "attention_heads": 4},
            "multiple of attention_heads, got 30 and 4",
        ),
        ({"lr": float("nan")}, "lr=nan: expected a finite number"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said_in_one_line(fields, message):
    with pytest.raises(ValueError, match=message) as error:
        VMC(**fields)
    assert "\n" not in str(error.value)


def test_slater_rules():
    """Published exponents of 1s and of 2s, 2p (Slater 1930): C 5.70 and 1.625."""
    assert slater_exponents(6) == pytest.approx((5.7, 1.625))
    assert slater_exponents(11)[-1] == pytest.approx(2.2 / 3)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_lithium_ends_below_minus_7_4730():
    """Exact −7.47806032 (Puchalski, Pachucki 2006); UHF −7.432746."""
    task = VMC(molecule="Li", walkers=256, train=1000)
    _, rows, _ = unrolled(task, task.steps)
    energies = np.array([row["energy"] for row in rows if row["evaluating"]])
    assert -7.4795 < energies.mean() < -7.4730
