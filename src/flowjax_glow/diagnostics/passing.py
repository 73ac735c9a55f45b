"""Images on their way to the latents: what is seen of them at every sub-layer, by one program."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling, LearnedPrior, Split
from flowjax_glow.channels import ChannelAffine, halves
from flowjax_glow.diagnostics.linear import flatten, sizes
from flowjax_glow.effort import fitting
from flowjax_glow.types import Event, Latents, LogDet, Params, Tree
from flowjax_glow.walk import log_scale, walk_forward

#: Arrays in records: of JAX within the walk, of NumPy once it is over.
Values = Array | np.ndarray


class Moments(NamedTuple):
    """The moments of every channel, over images and places."""

    mean: Values
    mean_square: Values


class Passing(NamedTuple):
    """Images at one sub-layer.

    Attributes:
        largest: the largest absolute activation of what it takes, `(batch,)`.
        given: the moments of what it gives; of two parts, of the first.
        log_scales: the least and the largest of 0 and the logarithms of what it multiplies by.
        matrix: of a map of the channels, else None.
        foreseen: of a coupling, the correlation of minus its shift with what it moves, over images,
            places and channels, each channel about its mean; else None.
    """

    largest: Values
    given: Moments
    log_scales: tuple[Values, Values]
    matrix: Values | None
    foreseen: Values | None


@fitting
def passing(flow: Bijector, params: Params, x: Event) -> tuple[Tree, list[Moments]]:
    """The records of a walk, and the moments of the latents, finest first."""

    def visit(
        bijector: Bijector, own: Params, x: Latents, z: Latents, log_det: LogDet
    ) -> tuple[Latents, Passing]:
        return z, Passing(
            largest=sizes(flatten(x)).max(1),
            given=moments(jax.tree.leaves(z)[0]),
            log_scales=_extremes(bijector, own, z),
            matrix=bijector.affine(own).matrix if isinstance(bijector, ChannelAffine) else None,
            foreseen=_foreseen(bijector, own, x, z),
        )

    z, _, records = walk_forward(flow, params, x, visit)
    return records, [moments(latent) for latent in jax.tree.leaves(z)]


def moments(x: Float[Array, "..."]) -> Moments:
    """The moments of every channel, the last axis."""
    places = tuple(range(x.ndim - 1))
    return Moments(jnp.mean(x, axis=places), jnp.mean(jnp.square(x), axis=places))


def _extremes(bijector: Bijector, own: Params, z: Latents) -> tuple[Array, Array]:
    if isinstance(bijector, Split) and bijector.prior != "standard":
        scales = -bijector.log_std(own, z)
    elif isinstance(bijector, LearnedPrior):
        scales = -bijector.log_std(own)
    else:
        scales = log_scale(bijector, own, z)
    if scales is None:
        scales = jnp.zeros(1)
    return jnp.minimum(scales.min(), 0), jnp.maximum(scales.max(), 0)


def _foreseen(bijector: Bijector, own: Params, x: Latents, z: Latents) -> Array | None:
    if not isinstance(bijector, AffineCoupling):
        return None
    shift, log_scale = bijector.shift_and_log_scale(own, z)
    if bijector.form == "scale-first":
        shift = shift * jnp.exp(-log_scale)
    moved, expected = (part - moments(part).mean for part in (halves(x)[1], -shift))
    sizes = jnp.sqrt(jnp.square(moved).sum() * jnp.square(expected).sum())
    return (moved * expected).sum() / jnp.maximum(sizes, jnp.finfo(sizes.dtype).tiny)
