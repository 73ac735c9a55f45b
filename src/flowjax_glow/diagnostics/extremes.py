"""The inverse together with the extremes that every example meets on the way."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.linear import PerExample, sizes
from flowjax_glow.types import Image, Latents, LogDet, Params
from flowjax_glow.walk import CarriesScale, flatten_records, walk_inverse

#: The clip that the paper's figures look at; a healthy activation is of order one.
LIMIT = 50.0


class Extremes(NamedTuple):
    """Of the sub-layers of an inverse.

    Attributes:
        largest: the largest absolute activation after any of them, infinite where not finite.
        lowest: the smallest log s of each, in the order of generation; 0 where nothing is scaled,
            -inf where it is not a number.
    """

    largest: PerExample
    lowest: Float[Array, "layers batch"]


def inverse_with_extremes(
    flow: Bijector, params: Params, z: Latents
) -> tuple[Image, LogDet, Extremes]:
    """``x`` and ``log|det dx/dz|`` as of `flow.inverse`, sub-layer by sub-layer."""
    x, log_det, records = walk_inverse(flow, params, z, _visit)
    largest, lowest = zip(*(record for _, _, record in flatten_records(flow, records)))
    return x, log_det, Extremes(jnp.stack(largest).max(0), jnp.stack(lowest))


@partial(jax.jit, static_argnums=0)
def largest_activation(flow: Bijector, params: Params, z: Latents) -> PerExample:
    """`Extremes.largest` alone; one program for all latents of a shape."""
    return inverse_with_extremes(flow, flow.freeze(params), z)[2].largest


def _visit(
    bijector: Bijector, params: Params, z: Latents, x: Image, log_det: LogDet
) -> tuple[Image, tuple[Array, Array]]:
    events = tuple(range(1, x.ndim))
    lowest = jnp.zeros_like(log_det)
    if isinstance(bijector, CarriesScale):
        log_scale = bijector.log_scale(params, z)
        # before the minimum, which may pass a NaN over
        known = jnp.where(jnp.isnan(log_scale), -jnp.inf, log_scale)
        lowest = known.min(events).astype(log_det.dtype)
    return x, (sizes(x).max(events), lowest)
