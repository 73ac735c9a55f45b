"""Round trips: how far an image or a latent is from what it comes back as."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from flowjax_glow.numerics import event_size, sum_events, zero_log_det
from flowjax_glow.pixels import quantize
from flowjax_glow.types import Image, Latents

#: Latents shorter than this many times sqrt(D) are measured against it: at z = 0 a relative error
#: would mean nothing, and F amplifies the rounding of x there like anywhere else.
LATENT_FLOOR = 0.1


class ImageRoundTrip(NamedTuple):
    """One number per image; errors are inf where anything is not finite.

    Attributes:
        relative: ``|x - x'| / |x|``, L2 norms.
        largest: ``max|x - x'|``.
        bins: mean ``|Q(x) - Q(x')|`` with ``Q(x) = n_bins (x + 1/2)``.
        bit_exact: every value falls into its own bin again: from the midpoint, errors below half a
            bin pass.
    """

    relative: Float[Array, " batch"]
    largest: Float[Array, " batch"]
    bins: Float[Array, " batch"]
    bit_exact: Bool[Array, " batch"]


def image_round_trip(x: Image, back: Image, *, n_bits: int = 8) -> ImageRoundTrip:
    """Compares images with what their latents decode to; use bin midpoints for `bit_exact`."""
    finite = jnp.isfinite(back).all((1, 2, 3))
    difference = jnp.abs(x - back)
    norm = jnp.sqrt(sum_events(jnp.square(x)))
    same = quantize(x, n_bits=n_bits) == quantize(back, n_bits=n_bits)
    return ImageRoundTrip(
        relative=_or_inf(finite, jnp.sqrt(sum_events(jnp.square(difference))) / norm),
        largest=_or_inf(finite, difference.max((1, 2, 3))),
        bins=_or_inf(finite, difference.mean((1, 2, 3)) * 2**n_bits),
        bit_exact=same.all((1, 2, 3)),
    )


def latent_round_trip(z: Latents, back: Latents) -> Float[Array, " batch"]:
    """``|z - z'| / max(|z|, 0.1 sqrt(D))`` over all latents, inf where not finite."""
    floor = LATENT_FLOOR * math.sqrt(event_size(z))
    error = _norm(jax.tree.map(jnp.subtract, z, back)) / jnp.maximum(_norm(z), floor)
    return _or_inf(jnp.isfinite(error), error)


def _norm(z: Latents) -> Float[Array, " batch"]:
    leaves = jax.tree.leaves(z)
    return jnp.sqrt(sum((sum_events(jnp.square(leaf)) for leaf in leaves), zero_log_det(leaves[0])))


def _or_inf(finite: Bool[Array, " batch"], error: Float[Array, " batch"]) -> Float[Array, " batch"]:
    return jnp.where(finite, error, jnp.inf)
