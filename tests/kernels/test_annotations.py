"""Arrays in kernels are annotated, and tests check their shapes at each call."""

from __future__ import annotations

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

import heliostat.kernels
from heliostat.kernels.discrete.chain import product
from heliostat.kernels.vmc.sortlet import ranks

FOLDER = Path(heliostat.kernels.__file__).parent
BARE = {"Array", "ndarray", "NDArray"}


def bare_arrays(node: ast.expr) -> bool:
    """Tell whether an annotation has an array that no dtype and shape describe."""
    if isinstance(node, ast.Subscript):
        base = ast.unparse(node.value)
        return base in BARE or (base == "tuple" and bare_arrays(node.slice))
    if isinstance(node, ast.Tuple):
        return any(map(bare_arrays, node.elts))
    if isinstance(node, ast.BinOp):
        return bare_arrays(node.left) or bare_arrays(node.right)
    return ast.unparse(node).rpartition(".")[2] in BARE


def annotations(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
            yield node.lineno, node.annotation
        if isinstance(node, ast.FunctionDef) and node.returns:
            yield node.lineno, node.returns


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda p: p.stem)
def test_every_array_has_a_dtype_and_a_shape(path):
    assert [line for line, node in annotations(path) if bare_arrays(node)] == []


def test_wrong_shapes_and_dtypes_are_refused_in_subpackages():
    with pytest.raises(TypeCheckError):
        ranks(jnp.zeros((2, 3)))
    with pytest.raises(TypeCheckError):
        product(jnp.zeros((4, 2)), jnp.zeros(3, jnp.uint8))
    with pytest.raises(TypeCheckError):
        product(jnp.zeros((3, 2)), jnp.zeros(3))


def test_a_mapped_kernel_sees_one_item():
    assert jax.vmap(ranks)(jnp.zeros((2, 3))).shape == (2, 3)
