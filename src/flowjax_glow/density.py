"""Likelihoods, samples and codes of a flow over a standard normal, and uint8 on both ends."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import expected
from flowjax_glow.numerics import event_size, sum_events, zero_log_det
from flowjax_glow.types import Image, Key, Latents, LogDet, Params, Pixels


def log_prob(flow: Bijector, params: Params, x: Image) -> LogDet:
    """``log N(z; 0, I) + log|det dz/dx|`` with ``z = flow(x)``, in nats, `(batch,)`."""
    z, log_det = flow.forward(params, x)
    return standard_normal_log_prob(z) + log_det


def standard_normal_log_prob(z: Latents) -> LogDet:
    """``log N(z; 0, I)`` summed over all arrays of `z`, in nats, `(batch,)`."""
    leaves = jax.tree.leaves(z)
    squares = sum((sum_events(jnp.square(leaf)) for leaf in leaves), zero_log_det(leaves[0]))
    return -0.5 * (squares + event_size(z) * math.log(2 * math.pi))


def bits_per_dim(
    flow: Bijector, params: Params, key: Key, images: Pixels, *, n_bits: int = 8
) -> LogDet:
    """An upper bound on the bits per dimension of uint8 images, one number per image.

    The images are reduced to `n_bits` and dequantized uniformly: ``-(log p(x) - D log n_bins) /
    (D log 2)`` nats turned into bits (Theis et al. 2016). A NaN stays a NaN.
    """
    x = dequantize(key, images, n_bits=n_bits)
    nats_per_dim = -log_prob(flow, params, x) / event_size(x)
    return nats_per_dim / math.log(2) + n_bits


def sample(
    flow: Bijector,
    params: Params,
    key: Key,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] | Float[Array, "..."] = 1.0,
    dtype: Any = jnp.float32,
) -> Image:
    """Images ``flow^-1(temperature * eps)`` with standard normal ``eps``.

    Args:
        shape: of the image batch, `(batch, height, width, channels)`.
        temperature: one number, or one per latent, finest level first.

    Returns:
        floats, mostly within [-0.5, 0.5); `to_pixels` turns them into uint8.
    """
    return flow.inverse(
        params, sample_latents(flow, params, key, shape, temperature=temperature, dtype=dtype)
    )[0]


def sample_latents(
    flow: Bijector,
    params: Params,
    key: Key,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] | Float[Array, "..."] = 1.0,
    dtype: Any = jnp.float32,
) -> Latents:
    """``temperature * eps`` in the structure of the flow's latents for images of `shape`."""
    images = jax.ShapeDtypeStruct(tuple(shape), dtype)
    leaves, structure = jax.tree.flatten(jax.eval_shape(flow.forward, params, images)[0])
    temperatures = jnp.asarray(temperature, dtype)
    if temperatures.ndim and temperatures.shape != (len(leaves),):
        raise expected(
            "sample.temperature",
            f"one number, or one for each of {len(leaves)} latents",
            got=f"shape {temperatures.shape}",
            advice="latents are ordered finest level first",
        )
    scales = jnp.broadcast_to(temperatures, (len(leaves),))
    keys = jax.random.split(key, len(leaves))
    noise = [
        scales[i] * jax.random.normal(keys[i], leaf.shape, leaf.dtype)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, noise)


def encode(flow: Bijector, params: Params, images: Pixels, *, n_bits: int = 8) -> Latents:
    """All latents of uint8 images, from the midpoints of their bins: no randomness."""
    return flow.forward(params, bin_midpoints(images, n_bits=n_bits))[0]


def decode(flow: Bijector, params: Params, latents: Latents, *, n_bits: int = 8) -> Pixels:
    """The uint8 images of latents; `decode` of `encode` gives them back, reduced to `n_bits`."""
    return to_pixels(flow.inverse(params, latents)[0], n_bits=n_bits)


def dequantize(key: Key, images: Pixels, *, n_bits: int = 8, dtype: Any = jnp.float32) -> Image:
    """``(floor(images / 2^(8-n_bits)) + u) / 2^n_bits - 0.5`` with u uniform in (0, 1).

    u is drawn on a grid of 2^-15 at half-steps: then every sum is exact in float32, no value
    leaves its bin by rounding, and the result lies strictly within (-0.5, 0.5).
    """
    steps = jax.random.bits(key, images.shape, jnp.uint16) >> 1
    return _place(images, (steps.astype(dtype) + 0.5) / 2**15, n_bits)


def bin_midpoints(images: Pixels, *, n_bits: int = 8, dtype: Any = jnp.float32) -> Image:
    """`dequantize` with u = 1/2."""
    return _place(images, jnp.asarray(0.5, dtype), n_bits)


def quantize(x: Image, *, n_bits: int = 8) -> Image:
    """Each value's bin, ``floor(2^n_bits (x + 0.5))``, unclipped, NaN where x is not finite."""
    bins = jnp.floor((x + 0.5) * 2**n_bits)
    return jnp.where(jnp.isfinite(x), bins, jnp.nan)


def to_pixels(x: Image, *, n_bits: int = 8) -> Pixels:
    """uint8 images from floats: each value's bin, clipped, spread over 0 ... 255.

    With fewer than 8 bits the lowest bin is black and the highest white. Values that are not
    finite turn black; count them with `jnp.isfinite` before.
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
