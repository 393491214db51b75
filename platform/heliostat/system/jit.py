"""``jit`` whose float32 programs compute in float32.

On GPUs JAX rounds the factors of float32 products to TF32, 10 bits, unless it is told
otherwise; 1,000 terms of a Neumann series then end 1e-2 from their limit, not 1e-3.

On CPUs XLA of jaxlib 0.10 hands chains of operations to YNNPACK.  Where a product with
a matrix of equal constants feeds a reduction, the constants are read from uninitialised
memory::

    jnp.sum(e + h @ jnp.ones((32, 8)), axis=0)  # over 128 walkers: garbage, or not

Here only products by themselves go to YNNPACK, which makes programs faster, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import jax

SOUND_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
}


def jit(f: Callable[..., Any], **options: Any) -> Any:
    """``jax.jit`` with whole products and sound options; takes the same arguments.

    For whole programs: JAX allows compiler options at the top level only, so that the
    result can be vmapped, but neither differentiated nor called inside another ``jit``.
    A product that names a ``precision`` of its own keeps it.

    Example:
        >>> import jax.numpy as jnp
        >>> program = jit(lambda e, h: jnp.sum(e + h @ jnp.ones((32, 8)), axis=1))
        >>> float(program(jnp.zeros((128, 5, 8)), jnp.ones((128, 5, 32))).max())
        160.0
    """

    @wraps(f)
    def whole(*args: Any, **kwargs: Any) -> Any:
        with jax.default_matmul_precision("highest"):
            return f(*args, **kwargs)

    return jax.jit(whole, compiler_options=sound_options(), **options)


@lru_cache
def sound_options() -> dict[str, str]:
    """The options that this XLA needs and knows: none on GPUs, nor in another jaxlib.

    Asking starts JAX's backend.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=SOUND_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:  # renamed or gone
        return {}
    return SOUND_OPTIONS
