"""Gibbs-with-gradients: gains carried along, against evaluated anew at each step

RBM of 784 × 25.  "As published": a step of the public PyTorch code of arXiv:2102.04509,
written in JAX: four forward and two backward evaluations and D Gumbel numbers for one
of D sites.  "Merged": the compiler shares what is evaluated twice.  All are scanned and
batched."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from measure import in_turn, random_rbm, ratio, seconds, table

from heliostat.kernels import gibbs_with_gradients
from heliostat.kernels.discrete.target import Target
from heliostat.system.jit import jit

Step = Callable[[Array, Array], tuple[Array, Array]]


def anew(target: Target, nothing: Array) -> Step:
    """A step that carries nothing but its state (D,), as floats.

    ``nothing`` is (4,) zeros, one for each evaluation: where they are an argument of
    the program, the compiler cannot know that two evaluations are one.
    """

    def forward(x: Array, k: int) -> Array:
        return target.logp(x + nothing[k])

    def logits(x: Array, k: int) -> Array:
        f, slope = jax.value_and_grad(target.logp)(x + nothing[k])
        return -(2 * x - 1) * slope / 2 + nothing[k] * f  # f is evaluated in any case

    def step(key: Array, x: Array) -> tuple[Array, Array]:
        drawing, deciding = jax.random.split(key)
        ahead = logits(x, 0)
        site = jax.random.categorical(drawing, ahead)
        change = jax.nn.one_hot(site, target.sites)
        y = (1 - x) * change + x * (1 - change)
        back = logits(y, 1)
        chance = jax.nn.log_softmax(back)[site] - jax.nn.log_softmax(ahead)[site]
        chance = jnp.exp(forward(y, 2) - forward(x, 3) + chance)
        wins = chance > jax.random.uniform(deciding)
        return jnp.where(wins, y, x), jnp.minimum(chance, 1.0)

    return step


def carried(target: Target) -> Step:
    kernel = gibbs_with_gradients(target)

    def step(key, chain):
        chain, info = kernel.step(key, chain)
        return chain, info.acceptance

    return step


def scanned(init: Callable, build: Callable[[Array], Step], steps: int) -> Callable:
    """(keys, x) -> mean acceptance of each chain over so many steps."""

    def walk(key: Array, x: Array, nothing: Array) -> Array:
        step = build(nothing)

        def body(state, t):
            return step(jax.random.fold_in(key, t), state)

        return jnp.mean(jax.lax.scan(body, init(x), jnp.arange(steps))[1])

    program = jit(jax.vmap(walk, (0, 0, None)))
    return lambda keys, x: program(keys, x, np.zeros(4, np.float32))


def report(quick: bool) -> None:
    chains, steps, rounds = (4, 20, 3) if quick else (64, 500, 7)
    target = random_rbm()
    begin = gibbs_with_gradients(target).init
    floats = lambda x: x.astype(float)  # noqa: E731
    zeros = np.zeros(4, np.float32)
    programs = {
        "carried along (heliostat)": scanned(begin, lambda _: carried(target), steps),
        "anew, merged": scanned(floats, lambda _: anew(target, zeros), steps),
        "anew, as published": scanned(floats, lambda z: anew(target, z), steps),
    }
    keys = jax.random.split(jax.random.key(0), chains)
    x = np.random.default_rng(0).integers(0, 2, (chains, target.sites), np.uint8)
    calls = {name: lambda f=f: f(keys, x) for name, f in programs.items()}
    first = {name: seconds(call) for name, call in calls.items()}
    times = in_turn(calls, rounds)
    ours = times["carried along (heliostat)"]
    rows = []
    for name, call in calls.items():
        rate = chains * steps / statistics.median(times[name])
        accepted = f"{jnp.mean(call()):.4f}"
        again = ratio(times[name], ours)
        rows.append([name, chains, steps, accepted, rate, again, first[name]])
    columns = ("gains", "chains", "steps", "acceptance", "steps/s", "time, ours = 1")
    table((*columns, "first call s"), rows)
