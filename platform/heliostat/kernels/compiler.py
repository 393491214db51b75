"""``jit`` for CPUs, without a fusion of XLA that reads memory nobody wrote.

XLA of jaxlib 0.10 hands chains of operations to YNNPACK.  Where a product with a matrix
of equal constants feeds a reduction, the constants are read from uninitialised memory::

    jnp.sum(e + h @ jnp.ones((32, 8)), axis=0)  # over 128 walkers: garbage, or not

Here only products by themselves go to YNNPACK, which makes programs faster, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax

SOUND = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def jit(f: Callable[..., Any], **options: Any) -> Any:
    """``jax.jit`` with sound compiler options; takes the same keyword arguments.

    For whole programs: JAX allows compiler options at the top level only, so that the
    result can be vmapped, but neither differentiated nor called inside another ``jit``.

    Example:
        >>> import jax.numpy as jnp
        >>> program = jit(lambda e, h: jnp.sum(e + h @ jnp.ones((32, 8)), axis=1))
        >>> float(program(jnp.zeros((128, 5, 8)), jnp.ones((128, 5, 32))).max())
        160.0
    """
    return jax.jit(f, compiler_options=sound(), **options)


@lru_cache
def sound() -> dict[str, str]:
    """The options that this XLA needs and knows: none on GPUs, nor in another jaxlib.

    Asking starts JAX's backend.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=SOUND).lower().compile()
    except jax.errors.JaxRuntimeError:  # renamed or gone
        return {}
    return SOUND
