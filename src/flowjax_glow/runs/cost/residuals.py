"""Bytes that a gradient keeps between its forward and its backward pass."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Var


def residual_bytes(function: Callable, values: Any, *arguments: Any) -> int:
    """Of the gradient of ``function(values, *arguments)`` with respect to `values`.

    Exact as the program is written, before a compiler finds anything to save: what the pullback of
    `jax.vjp` holds, each array once, without the arguments, which are there anyway. What either
    pass needs while it runs comes on top. All may be abstract.
    """

    def residuals(values: Any, *arguments: Any) -> list[jax.Array]:
        _, pullback = jax.vjp(lambda own: function(own, *arguments), values)
        return jax.tree.leaves(pullback)

    program = jax.make_jaxpr(residuals)(values, *arguments).jaxpr
    kept = {variable for variable in program.outvars if isinstance(variable, Var)}
    return sum(_bytes(variable) for variable in kept - {*program.invars, *program.constvars})


def _bytes(variable: Any) -> int:
    return variable.aval.size * variable.aval.dtype.itemsize
