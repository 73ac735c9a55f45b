"""FLOPs of a program, read from its jaxpr: a scan counts as often as it runs.

XLA's own cost analysis counts the body of a loop once, whatever its length, which is off by the
depth of a flow. Matrix products, convolutions and triangular solves count, a multiply-add as two;
what is done entry by entry does not, nor do factorizations of the small matrices of a flow.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn

from flowjax_glow.errors import expected


def flops(function: Callable, *arguments: Any) -> int:
    """FLOPs of ``function(*arguments)``; the arguments may be `jax.ShapeDtypeStruct`."""
    return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def count(program: Jaxpr) -> int:
    """FLOPs of a program, those of the programs within it included."""
    return sum(_of_equation(equation) for equation in program.eqns)


def _of_equation(equation: JaxprEqn) -> int:
    name = equation.primitive.name
    if name in _COUNTED:
        return _COUNTED[name](equation)
    if name == "custom_linear_solve":  # it also holds programs to check and to transpose itself
        return count(equation.params["jaxprs"].solve.jaxpr)
    inner = [count(program) for program in _programs_in(equation)]
    if name == "scan":
        return equation.params["length"] * sum(inner)
    if name == "cond":
        return max(inner)
    if name == "while" and any(inner):
        raise expected(
            "flops",
            "loops of a known length",
            got="a while loop with matrix products in it",
            advice="write it as a jax.lax.scan",
        )
    return sum(inner)


def _programs_in(equation: JaxprEqn) -> Iterator[Jaxpr]:
    """The bodies of jit, remat, scan, cond and the like; what differentiates them is none."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part


def _matrix_product(equation: JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = _shape(equation.invars[0])
    return 2 * _size(equation.outvars[0]) * math.prod(shape[axis] for axis in contracted)


def _convolution(equation: JaxprEqn) -> int:
    """Every tap at every output counts, those on the padding too: that is what is multiplied."""
    outputs = equation.params["dimension_numbers"].rhs_spec[0]
    return _taps_at_every_output(equation, outputs)


def _own_convolution(equation: JaxprEqn) -> int:
    """Of `flowjax_glow.convolution`, whose kernels have the outputs last."""
    return _taps_at_every_output(equation, -1)


def _taps_at_every_output(equation: JaxprEqn, outputs: int) -> int:
    kernel = equation.invars[1]
    return 2 * _size(equation.outvars[0]) * (_size(kernel) // _shape(kernel)[outputs])


def _own_kernel_gradient(equation: JaxprEqn) -> int:
    """Every entry of a kernel is a sum over all pixels of all images."""
    *pixels, _ = _shape(equation.invars[0])
    return 2 * _size(equation.outvars[0]) * math.prod(pixels)


def _triangular_solve(equation: JaxprEqn) -> int:
    """Half a matrix product: entries beyond the diagonal are never touched."""
    return _size(equation.outvars[0]) * _shape(equation.invars[0])[-1]


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape


def _size(variable: Any) -> int:
    return math.prod(_shape(variable))


_COUNTED: dict[str, Callable[[JaxprEqn], int]] = {
    "dot_general": _matrix_product,
    "conv_general_dilated": _convolution,
    "convolve": _own_convolution,
    "convolve_kernel_gradient": _own_kernel_gradient,
    "triangular_solve": _triangular_solve,
}
