"""The inverse layer by layer: clipped, observed, and its extremes."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import Split
from flowjax_glow.diagnostics.linear import flatten, sizes
from flowjax_glow.effort import WELL
from flowjax_glow.types import Event, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, log_scale, walk_inverse

#: The largest activation that passes, of NumPy, of JAX, or a plain number.
Limit: TypeAlias = float | Float[Array | np.ndarray, ""]


class Observation(NamedTuple):
    """What one sub-layer of the inverse gave, before clipping; one number per example each.

    Attributes:
        largest: the largest absolute activation, inf if any is not finite.
        clipped: the fraction of activations beyond the limit; NaN counts as beyond.
        nonfinite: how many activations are NaN or infinite.
        log_det: of the sub-layer's inverse, nats.
        min_log_scale: the smallest log s, -inf where one is NaN; None for a bijector without scale.
        log_scale: all of them, `(batch, height, width, channels)`, or None.
    """

    largest: Array
    clipped: Array
    nonfinite: Array
    log_det: Array
    min_log_scale: Array | None
    log_scale: Array | None


def observe(
    bijector: Bijector, params: Params, z: Latents, x: Latents, log_det: LogDet, *, limit: Limit
) -> Observation:
    """What a visitor of `walk_inverse` is shown; under `jax.jit` what is not used costs nothing."""
    size = sizes(flatten(x))
    scales = log_scale(bijector, params, z)
    return Observation(
        largest=size.max(1),
        clipped=(size > limit).mean(1),
        nonfinite=jnp.isinf(size).sum(1),
        log_det=log_det,
        min_log_scale=None if scales is None else known(flatten(scales)).min(1),
        log_scale=scales,
    )


def clip_and_observe(limit: Limit) -> Callable[..., Any]:
    """A visitor for `walk_inverse` that clips activations to [-limit, limit]; NaN stays NaN."""

    def visit(
        bijector: Bijector, params: Params, z: Latents, x: Latents, log_det: LogDet
    ) -> tuple[Latents, Observation]:
        clipped = jax.tree.map(lambda leaf: jnp.clip(leaf, -limit, limit), x)
        return clipped, observe(bijector, params, z, x, log_det, limit=limit)

    return visit


def only_observe(
    bijector: Bijector, params: Params, z: Latents, x: Latents, log_det: LogDet
) -> tuple[Latents, Observation]:
    """A visitor for `walk_inverse` that changes nothing; a clip would cost its gradient memory."""
    return x, observe(bijector, params, z, x, log_det, limit=jnp.inf)


def known(log_scale: Float[Array, "..."]) -> Float[Array, "..."]:
    """Log-scales with -inf for NaN, the worst that s can be; a minimum may pass over a NaN."""
    return jnp.where(jnp.isnan(log_scale), -jnp.inf, log_scale)


class Layer(NamedTuple):
    """One sub-layer's name, bijector and observation, `log_scale` left out."""

    name: str
    bijector: Bijector
    seen: Observation


class Decoded(NamedTuple):
    """The result of `decode_observed`.

    Attributes:
        x: the decoded images.
        layers: every sub-layer in the order of generation.
        scales: log s of the first step after each split in generation, finest level first.
    """

    x: Event
    layers: list[Layer]
    scales: tuple[Event, ...]


def decode_observed(flow: Bijector, params: Params, z: Latents, limit: float = jnp.inf) -> Decoded:
    """Inverts `flow` with every activation clipped to [-limit, limit] after each sub-layer.

    One compiled program serves all limits and all latents of one shape.
    """
    x, records, scales = _decode(flow, params, z, limit)
    named = flatten_records(flow, jax.device_get(records))
    return Decoded(x, [Layer(*row) for row in named], scales)


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def _decode(flow: Bijector, params: Params, z: Latents, limit: Array) -> tuple:
    x, _, records = walk_inverse(flow, params, z, clip_and_observe(limit))
    scales = scales_after_splits(flow, records)
    return x, _map_observations(lambda seen: seen._replace(log_scale=None), records), scales


def scales_after_splits(flow: Bijector, records: object) -> tuple[Event, ...]:
    """log s of the first scale-carrying bijector after each `Split` in generation order.

    These are the places where a coupling's net may read fresh noise. Finest level first.
    """
    places, after_split = [], False
    for _, bijector, seen in flatten_records(flow, records):
        if isinstance(bijector, Split):
            after_split = True
        elif after_split and seen.log_scale is not None:
            places.append(seen.log_scale)
            after_split = False
    return tuple(reversed(places))


def _map_observations(change: Callable[[Observation], Observation], records: object) -> object:
    return jax.tree.map(change, records, is_leaf=lambda node: isinstance(node, Observation))


def stack(layers: list[Layer], field: str) -> np.ndarray:
    """One field of every layer that has it, `(layers, batch)`."""
    values = [getattr(layer.seen, field) for layer in layers]
    return np.stack([value for value in values if value is not None])


def summed_log_det(layers: list[Layer], kind: type) -> np.ndarray:
    """``log|det|`` of the inverses of all bijectors of one `kind`, summed, `(batch,)`."""
    batch = len(layers[0].seen.log_det)
    values = [layer.seen.log_det for layer in layers if isinstance(layer.bijector, kind)]
    return np.sum(values, axis=0) if values else np.zeros(batch)


class Extremes(NamedTuple):
    """The extremes of every sub-layer of an inverse, in the order of generation.

    Attributes:
        largest: the largest absolute activation after it, infinite where not finite.
        lowest: its smallest log s; 0 where nothing is scaled, -inf where it is not a number.
    """

    largest: Float[Array, "layers batch"]
    lowest: Float[Array, "layers batch"]


def inverse_with_extremes(
    flow: Bijector, params: Params, z: Latents
) -> tuple[Event, LogDet, Extremes]:
    """``x`` and ``log|det dx/dz|`` as of `flow.inverse`, sub-layer by sub-layer."""
    x, log_det, records = walk_inverse(flow, params, z, only_observe)
    seen = [record for _, _, record in flatten_records(flow, records)]
    unscaled = jnp.zeros_like(log_det)
    lowest = [unscaled if s.min_log_scale is None else s.min_log_scale for s in seen]
    largest = jnp.stack([layer.largest for layer in seen])
    return x, log_det, Extremes(largest, jnp.stack(lowest))
