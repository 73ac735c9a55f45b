"""The inverse and the determinant of a small matrix in one elimination, without LAPACK.

A flow inverts a few dozen matrices of a few dozen rows in every training step. XLA hands them to
LAPACK on the CPU, where 24 of them cost a fifth of a step that is otherwise large products; as a
short loop of array operations all of a level's are inverted together in a millisecond or two.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.numerics import PRECISION

Matrix = Float[Array, "rows rows"]


@jax.custom_jvp
def invert(matrix: Matrix) -> tuple[Matrix, Float[Array, ""]]:
    r"""``W^-1`` and ``log|det W|`` by Gauss-Jordan elimination with partial pivoting.

    One Newton step, ``X (2 I - W X)``, takes off what rounding left. A singular matrix gives NaN.
    Derivatives are products: ``-X dW X`` and ``tr(X dW)``.
    """
    size = matrix.shape[-1]
    identity, indices = jnp.eye(size, dtype=matrix.dtype), jnp.arange(size)

    def eliminate(state: tuple, column: Array) -> tuple[tuple, None]:
        rows, free, log_abs_det, order = state
        candidates = rows[:, column]
        pivot = jnp.argmax(jnp.where(free, jnp.abs(candidates), -1))
        chosen = indices == pivot
        # Sums over a mask, not indices: a loop of gathers is slow on every device.
        divisor = jnp.sum(jnp.where(chosen, candidates, 0))
        pivot_row = jnp.sum(jnp.where(chosen[:, None], rows, 0), axis=0) / divisor
        rest = rows - jnp.where(chosen, 0, candidates)[:, None] * pivot_row
        state = (
            jnp.where(chosen[:, None], pivot_row, rest),
            free & ~chosen,
            log_abs_det + jnp.log(jnp.abs(divisor)),
            jnp.where(indices == column, pivot, order),
        )
        return state, None

    start = (
        jnp.concatenate([matrix, identity], axis=1),
        jnp.ones(size, bool),
        jnp.zeros((), matrix.dtype),
        indices,
    )
    (rows, _, log_abs_det, order), _ = jax.lax.scan(eliminate, start, indices)
    inverse = rows[order, size:]
    residual = identity - jnp.matmul(matrix, inverse, precision=PRECISION)
    return inverse + jnp.matmul(inverse, residual, precision=PRECISION), log_abs_det


@invert.defjvp
def _(primals: tuple[Matrix], tangents: tuple[Matrix]) -> tuple:
    (change,) = tangents
    inverse, log_abs_det = invert(*primals)
    inner = jnp.matmul(change, inverse, precision=PRECISION)
    inverse_change = -jnp.matmul(inverse, inner, precision=PRECISION)
    return (inverse, log_abs_det), (inverse_change, jnp.trace(inner))
