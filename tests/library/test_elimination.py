"""The inverse of small matrices, against LAPACK in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.elimination import invert

EPSILON = {"float32": 1e-7, "float64": 2e-16}


def matrices(size: int) -> np.ndarray:
    """Ordinary ones, one whose pivots all lie off the diagonal, and an ill-conditioned one."""
    drawn = np.random.default_rng(size).standard_normal((4, size, size))
    drawn[1] = np.eye(size)[::-1]
    drawn[2] = drawn[2] @ np.diag(np.logspace(0, -3, size))
    return drawn


@pytest.mark.parametrize("size", [1, 2, 5, 12, 48])
def test_inverse_and_log_det_are_lapack_s(size, dtype):
    given = jnp.asarray(matrices(size), dtype)
    inverse, log_abs_det = jax.jit(jax.vmap(invert))(given)
    exact = np.asarray(given, np.float64)
    for index, matrix in enumerate(exact):
        wanted = np.linalg.inv(matrix)
        error = np.linalg.norm(inverse[index] - wanted) / np.linalg.norm(wanted)
        assert error < 10 * EPSILON[dtype] * np.linalg.cond(matrix)
    wanted_log_det = np.linalg.slogdet(exact)[1]
    conditions = [np.linalg.cond(matrix) for matrix in exact]
    allowed = 10 * size * EPSILON[dtype] * np.maximum(np.sqrt(conditions), 1)
    assert (np.abs(log_abs_det - wanted_log_det) <= allowed).all()


def test_derivatives_are_those_of_the_formulas(dtype):
    matrix = jnp.asarray(matrices(5)[0], dtype)

    def ours(matrix):
        inverse, log_abs_det = invert(matrix)
        return jnp.sin(inverse).sum() + log_abs_det

    def by_lapack(matrix):
        return jnp.sin(jnp.linalg.inv(matrix)).sum() + jnp.linalg.slogdet(matrix)[1]

    for derivative in (jax.grad, jax.jacfwd):
        got, wanted = jax.jit(derivative(ours))(matrix), jax.jit(derivative(by_lapack))(matrix)
        np.testing.assert_allclose(got, wanted, rtol=1e4 * EPSILON[dtype])
    second, wanted = (jax.jit(jax.hessian(f))(matrix) for f in (ours, by_lapack))
    np.testing.assert_allclose(second, wanted, atol=1e4 * EPSILON[dtype] * np.abs(wanted).max())


def test_a_singular_matrix_is_told_by_nan():
    inverse, log_abs_det = invert(jnp.ones((3, 3)))
    assert not jnp.isfinite(inverse).any()
    assert not jnp.isfinite(log_abs_det)
