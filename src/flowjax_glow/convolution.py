"""The one convolution of the project: NHWC, stride 1, zero padding to the same size.

On the CPU it is made of matrix products. Inside a `jax.lax.scan` XLA falls back to a CPU
convolution that is more than thirty times slower, and even outside one large product per
convolution beats it. GPUs and TPUs get `jax.lax`'s own.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.errors import expected

Kernel = Float[Array, "kernel_height kernel_width channels_in channels_out"]
Features = Float[Array, "batch height width _"]


def convolve(x: Features, kernel: Kernel) -> Features:
    """Cross-correlates `x` with `kernel`: ``z[p] = sum_k x[p + k - radius] @ kernel[k]``.

    Args:
        x: `(batch, height, width, channels_in)`.
        kernel: `(kernel_height, kernel_width, channels_in, channels_out)`, sizes odd.

    Returns:
        `(batch, height, width, channels_out)`; pixels outside `x` count as zero.

    Raises:
        ValueError: if a kernel size is even or the channels do not match.
    """
    height, width, channels_in, channels_out = kernel.shape
    if height % 2 == 0 or width % 2 == 0:
        raise expected(
            "convolve", "odd kernel sizes", got=(height, width), advice="pad the kernel with zeros"
        )
    if x.shape[-1] != channels_in:
        raise expected(
            "convolve",
            f"{channels_in} input channels as in the kernel",
            got=x.shape[-1],
            advice="initialize the parameters with images of this shape",
        )
    if jax.default_backend() != "cpu":
        return lax_convolve(x, kernel)
    if (height, width) == (1, 1):
        return x @ kernel[0, 0]
    if channels_in <= channels_out:
        return _gather_then_multiply(x, kernel)
    return _multiply_then_scatter(x, kernel)


def lax_convolve(x: Features, kernel: Kernel) -> Features:
    """The same map by `jax.lax.conv_general_dilated`."""
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _windows(x: Features, kernel: Kernel) -> list[Features]:
    """``x[p + k - radius]`` for every tap k, row by row: shifted copies of the padded input."""
    down, across = kernel.shape[:2]
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (down // 2,) * 2, (across // 2,) * 2, (0, 0)))
    return [padded[:, i : i + height, j : j + width] for i in range(down) for j in range(across)]


def _gather_then_multiply(x: Features, kernel: Kernel) -> Features:
    """Cheapest with few input channels: the shifted copies are of the input."""
    return jnp.concatenate(_windows(x, kernel), axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _multiply_then_scatter(x: Features, kernel: Kernel) -> Features:
    """Cheapest with few output channels: the shifted copies are of the output."""
    channels_in, channels_out = kernel.shape[2:]
    products = x @ jnp.moveaxis(kernel, 2, 0).reshape(channels_in, -1)
    total = jnp.zeros((*x.shape[:-1], channels_out), products.dtype)
    for tap, window in enumerate(_windows(products, kernel)):
        total += window[..., tap * channels_out : (tap + 1) * channels_out]
    return total
