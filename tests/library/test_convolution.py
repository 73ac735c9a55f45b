"""The convolution equals XLA's in value and gradients, wherever it is called."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax_glow.convolution import convolve
from flowjax_glow.testing import relative_error

TOLERANCE = {"float32": 1e-5, "float64": 1e-13}

sizes = pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 3)])
channels = pytest.mark.parametrize("channels", [(2, 5), (4, 4), (5, 2)])


def draw(dtype: str, *shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), dtype)


def by_xla(x, kernel):
    """An oracle with the exact products that the CPU gives anyway."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )


def value_and_pullback(apply):
    def evaluate(x, kernel, cotangent):
        z, pull = jax.vjp(apply, x, kernel)
        return z, pull(cotangent)

    return jax.jit(evaluate)


@sizes
@channels
def test_equals_xla_in_value_and_both_gradients(size, channels, dtype):
    x = draw(dtype, 2, 5, 7, channels[0])
    kernel = draw(dtype, *size, *channels, seed=1)
    cotangent = draw(dtype, 2, 5, 7, channels[1], seed=2)
    z, (x_gradient, kernel_gradient) = value_and_pullback(convolve)(x, kernel, cotangent)
    wanted, (x_wanted, kernel_wanted) = value_and_pullback(by_xla)(x, kernel, cotangent)
    assert z.dtype == x.dtype
    assert relative_error(z, wanted) < TOLERANCE[dtype]
    assert relative_error(x_gradient, x_wanted) < TOLERANCE[dtype]
    assert relative_error(kernel_gradient, kernel_wanted) < TOLERANCE[dtype]


@channels
def test_equals_the_sum_in_its_docstring(channels):
    x, kernel = draw("float32", 1, 4, 5, channels[0]), draw("float32", 5, 3, *channels, seed=1)
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (2, 2), (1, 1), (0, 0)))
    wanted = np.zeros((1, 4, 5, channels[1]))
    for row, column in np.ndindex(4, 5):
        for i, j in np.ndindex(5, 3):
            wanted[0, row, column] += padded[0, row + i, column + j] @ np.asarray(kernel)[i, j]
    assert relative_error(convolve(x, kernel), wanted) < 1e-5


def test_an_image_smaller_than_the_kernel():
    x, kernel = draw("float32", 2, 1, 1, 3), draw("float32", 5, 5, 3, 2, seed=1)
    assert relative_error(convolve(x, kernel), by_xla(x, kernel)) < 1e-5


def test_inside_a_scan():
    x, kernels = draw("float32", 2, 4, 6, 3), draw("float32", 4, 3, 3, 3, 3, seed=1) / 5

    def scanned(x, kernels):
        return jax.lax.scan(lambda x, kernel: (jnp.tanh(convolve(x, kernel)), None), x, kernels)[0]

    def unrolled(x, kernels):
        for kernel in kernels:
            x = jnp.tanh(by_xla(x, kernel))
        return x

    cotangent = draw("float32", *x.shape, seed=2)
    got = value_and_pullback(scanned)(x, kernels, cotangent)
    wanted = value_and_pullback(unrolled)(x, kernels, cotangent)
    assert relative_error(got, wanted) < 1e-5


@channels
def test_every_derivative_is_that_of_xla_s(channels):
    """Forward mode, second derivatives, and both under `jax.vmap`, over kernels too."""
    with jax.enable_x64(True):
        x, kernel = draw("float64", 2, 4, 3, channels[0]), draw("float64", 3, 3, *channels, seed=1)
        kernels = jnp.stack([kernel, kernel[::-1]])

        def derivatives(apply):
            def loss(x, kernel):
                return jnp.sin(apply(x, kernel)).sum()

            def over_kernels(x):
                return jax.vmap(loss, (None, 0))(x, kernels).sum()

            return (
                jax.jvp(loss, (x, kernel), (2 * x, kernel[::-1]))[1],
                jax.hessian(loss, argnums=(0, 1))(x, kernel),
                jax.grad(over_kernels)(x),
            )

        got, wanted = (
            jax.jit(lambda: derivatives(convolve))(),
            jax.jit(lambda: derivatives(by_xla))(),
        )
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
            assert relative_error(a, b) < TOLERANCE["float64"]


@channels
@pytest.mark.parametrize(
    ("platform", "precision", "products"),
    [
        ("cpu", "highest", True),
        ("cuda", "default", True),
        ("cuda", "highest", False),
        ("tpu", "default", False),
    ],
)
def test_some_platforms_get_matrix_products_and_others_xla_s_convolution(
    channels, platform, precision, products
):
    """Decided where the program is lowered: here, on a CPU, for all of them."""
    x, kernel = draw("float32", 2, 4, 4, channels[0]), draw("float32", 3, 3, *channels)

    def loss(x, kernel):
        return convolve(x, kernel, precision).sum()

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    program = jax.export.export(gradient, platforms=[platform])(x, kernel).mlir_module()
    assert ("stablehlo.convolution" in program) != products
    assert ("stablehlo.dot_general" in program) == products


def test_even_kernels_are_refused():
    with pytest.raises(
        ValueError, match=r"^convolve: expected odd kernel sizes, got \(2, 3\); pad"
    ):
        convolve(draw("float32", 1, 4, 4, 3), draw("float32", 2, 3, 3, 3))


def test_dtypes_must_match():
    message = "^convolve: expected an image of the kernel's dtype, float32, got bfloat16; convert"
    with pytest.raises(ValueError, match=message):
        convolve(draw("float32", 1, 4, 4, 3).astype("bfloat16"), draw("float32", 3, 3, 3, 3))


def test_channels_must_match():
    message = "^convolve: expected 3 input channels as in the kernel, got 4; initialize the param"
    with pytest.raises(ValueError, match=message):
        convolve(draw("float32", 1, 4, 4, 4), draw("float32", 3, 3, 3, 3))
