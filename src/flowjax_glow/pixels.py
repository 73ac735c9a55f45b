"""uint8 images on both ends of a flow: bins of `n_bits`, noise within them, and back."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.errors import expected
from flowjax_glow.types import Event, Examples, Image, Key, Pixels


def dequantize(key: Key, images: Pixels, *, n_bits: int = 8, dtype: Any = jnp.float32) -> Image:
    """``(floor(images / 2^(8-n_bits)) + u) / 2^n_bits - 0.5`` with u uniform in (0, 1).

    u is drawn on a grid of 2^-15 at half-steps: then every sum is exact in float32, no value
    leaves its bin by rounding, and the result lies strictly within (-0.5, 0.5).

    Raises:
        ValueError: if the images are not uint8, or `n_bits` is not 1 to 8.
    """
    steps = jax.random.bits(key, images.shape, jnp.uint16) >> 1
    return _place(images, (steps.astype(dtype) + 0.5) / 2**15, n_bits)


def bin_midpoints(images: Pixels, *, n_bits: int = 8, dtype: Any = jnp.float32) -> Image:
    """`dequantize` with u = 1/2.

    Raises:
        ValueError: if the images are not uint8, or `n_bits` is not 1 to 8.
    """
    return _place(images, jnp.asarray(0.5, dtype), n_bits)


def as_events(examples: Examples, *, n_bits: int = 8, dtype: Any = jnp.float32) -> Event:
    """What a flow reads: uint8 images at the midpoints of their bins, float events as they are."""
    if jnp.issubdtype(examples.dtype, jnp.floating):
        return jnp.asarray(examples, dtype)
    return bin_midpoints(examples, n_bits=n_bits, dtype=dtype)


def quantize(x: Image, *, n_bits: int = 8) -> Image:
    """Each value's bin, ``floor(2^n_bits (x + 0.5))``, unclipped, NaN where x is not finite."""
    bins = jnp.floor((x + 0.5) * 2**n_bits)
    return jnp.where(jnp.isfinite(x), bins, jnp.nan)


def to_pixels(x: Image, *, n_bits: int = 8) -> Pixels:
    """uint8 images from floats: each value's bin, clipped, spread over 0 ... 255.

    With fewer than 8 bits the lowest bin is black and the highest white. Values that are not
    finite turn black; count them with `jnp.isfinite` before.

    Raises:
        ValueError: if `n_bits` is not 1 to 8.
    """
    _check_bits(n_bits)
    bins = jnp.clip(jnp.nan_to_num(quantize(x, n_bits=n_bits), nan=0.0), 0, 2**n_bits - 1)
    return jnp.round(bins * (255 / (2**n_bits - 1))).astype(jnp.uint8)


def _place(images: Pixels, offset: Float[Array, "..."], n_bits: int) -> Image:
    _check_bits(n_bits)
    if images.dtype != jnp.uint8:
        raise expected(
            "dequantize", "uint8 images", got=images.dtype, advice="scale them to 0 ... 255"
        )
    bins = (images >> (8 - n_bits)).astype(offset.dtype)
    return (bins + offset) / 2**n_bits - 0.5


def _check_bits(n_bits: int) -> None:
    if n_bits not in range(1, 9):
        raise expected("n_bits", "1 to 8", got=n_bits, advice="images are uint8")
