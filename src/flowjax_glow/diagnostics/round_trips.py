"""Round trips: how far images and latents are from what they come back as; images by batches."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import CHUNK, in_given_chunks
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.diagnostics.trace import inverse_with_extremes
from flowjax_glow.effort import BRIEFEST, BRISKLY
from flowjax_glow.numerics import event_size, sum_events, zero_log_det
from flowjax_glow.pixels import as_events, quantize
from flowjax_glow.types import Event, Examples, Latents, LogDet, Params

#: Latents shorter than this many times sqrt(D) are measured against it: at z = 0 a relative error
#: would mean nothing, and F amplifies the rounding of x there like anywhere else.
LATENT_FLOOR = 0.1


class ImageRoundTrip(NamedTuple):
    """One number per image; errors are inf where anything is not finite.

    Attributes:
        relative: ``|x - x'| / |x|``, L2 norms.
        largest: ``max|x - x'|``.
        bins: mean ``|Q(x) - Q(x')|`` with ``Q(x) = n_bins (x + 1/2)``.
        same_bins: every value falls into its own bin again: from the midpoint, errors below half a
            bin pass, so it says less than equal bits would.
    """

    relative: Float[Array, " batch"]
    largest: Float[Array, " batch"]
    bins: Float[Array, " batch"]
    same_bins: Bool[Array, " batch"]


def image_round_trip(x: Event, back: Event, *, n_bits: int | None = 8) -> ImageRoundTrip:
    """Compares images with what their latents decode to; use bin midpoints for `same_bins`.

    Floats that are no images have no bins: with None for `n_bits`, `bins` is NaN and `same_bins`
    True. They may be zero, so `relative` divides by at least a tenth of their mean norm.
    """
    axes = tuple(range(1, x.ndim))
    finite = jnp.isfinite(back).all(axes)
    difference = jnp.abs(x - back)
    norm = jnp.sqrt(sum_events(jnp.square(x)))
    if n_bits is None:
        least = jnp.maximum(LATENT_FLOOR * norm.mean(), jnp.finfo(norm.dtype).tiny)
        norm = jnp.maximum(norm, least)
    bins = jnp.full(len(x), jnp.nan, difference.dtype)
    same_bins = jnp.ones(len(x), bool)
    if n_bits is not None:
        bins = _or_inf(finite, difference.mean(axes) * 2**n_bits)
        same_bins = (quantize(x, n_bits=n_bits) == quantize(back, n_bits=n_bits)).all(axes)
    return ImageRoundTrip(
        relative=_or_inf(finite, jnp.sqrt(sum_events(jnp.square(difference))) / norm),
        largest=_or_inf(finite, difference.max(axes)),
        bins=bins,
        same_bins=same_bins,
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


@dataclass(frozen=True, eq=False)
class Reconstruction(Result):
    """Images -> latents -> images, at the midpoints of their bins; one row.

    Attributes:
        images: how many.
        median, worst: relative L2 errors; infinite where anything is not finite.
        largest: the largest absolute error of a value; images span [-0.5, 0.5).
        bins: the worst image's mean error in bins.
        same_bins: the fraction of images that come back in the same bins, every value of them: an
            error below half a bin, 1/64 of the range at 5 bits, passes.
        nan, plus_infinity, minus_infinity: the fraction of values that came back as such.
        log_det_error: ``|log|det F| + log|det F^-1|| / D`` of the worst image, in bits.
        activation: the largest of any sub-layer on the way back, infinite where not finite.
        over: the fraction of images with an activation beyond `LIMIT`.
    """

    title = "Images, encoded and decoded"

    images: np.ndarray
    median: np.ndarray
    worst: np.ndarray
    largest: np.ndarray
    bins: np.ndarray
    same_bins: np.ndarray
    nan: np.ndarray
    plus_infinity: np.ndarray
    minus_infinity: np.ndarray
    log_det_error: np.ndarray
    activation: np.ndarray
    over: np.ndarray


def reconstruction(
    flow: Bijector, params: Params, images: Examples, *, n_bits: int = 8, chunk: int = CHUNK
) -> Reconstruction:
    """Encodes and decodes uint8 images or float events, and compares what comes back.

    Raises:
        ValueError: if the images are neither uint8 nor floats, `n_bits` of uint8 ones is not 1 to
            8, or the parameters hold a context with other rows.
    """
    return reconstructed(image_trips(flow, params, images, n_bits=n_bits, chunk=chunk))


class ImageTrips(NamedTuple):
    """Images there and back, one number each.

    Attributes:
        trip: how far off they come back.
        not_finite: fractions of values that came back NaN, as plus and as minus infinity.
        log_det_error: ``(log|det F| + log|det F^-1|) / D``, in bits.
        activation: the largest of any sub-layer on the way back, infinite where not finite.
    """

    trip: Any
    not_finite: tuple[Any, Any, Any]
    log_det_error: Any
    activation: Any


def image_trips(
    flow: Bijector, params: Params, images: Examples, *, n_bits: int = 8, chunk: int = CHUNK
) -> ImageTrips:
    """What `reconstruction` sums up."""

    bits = None if np.issubdtype(images.dtype, np.floating) else n_bits

    def measure(params: Params, part: Examples) -> ImageTrips:
        # over the host, or latents that are tied to a device would be compiled for apart from noise
        x, z, log_det = jax.device_get(encoded(flow, params, part, n_bits))
        back = jax.device_get(back_and_again(flow, params, z))
        trip, not_finite = _compared(x, back.x, bits)
        error = (log_det + back.log_det) / (event_size(x) * math.log(2))
        return ImageTrips(trip, not_finite, error, back.largest.max(0))

    return in_given_chunks(measure, params, images, chunk)


def reconstructed(found: ImageTrips) -> Reconstruction:
    """The table of some images."""
    trip = found.trip
    nan, plus, minus = (values.mean(keepdims=True) for values in found.not_finite)
    return Reconstruction(
        images=np.array([len(trip.relative)]),
        median=np.median(trip.relative, keepdims=True),
        worst=trip.relative.max(keepdims=True),
        largest=trip.largest.max(keepdims=True),
        bins=trip.bins.max(keepdims=True),
        same_bins=trip.same_bins.mean(keepdims=True),
        nan=nan,
        plus_infinity=plus,
        minus_infinity=minus,
        log_det_error=np.array([worst(np.abs(found.log_det_error))]),
        activation=found.activation.max(keepdims=True),
        over=(found.activation > LIMIT).mean(keepdims=True),
    )


@partial(jax.jit, static_argnums=(0, 3), compiler_options=BRISKLY)
def encoded(
    flow: Bijector, params: Params, images: Examples, n_bits: int
) -> tuple[Event, Latents, LogDet]:
    """Images at the midpoints of their bins or events as they are, latents, and log-dets."""
    x = as_events(images, n_bits=n_bits)
    return x, *flow.forward(params, x)


class BackAndAgain(NamedTuple):
    """What latents decode to.

    Attributes:
        x: the images.
        log_det: of the inverse.
        error: how far off the latents come back.
        largest: the largest absolute activation after every sub-layer of the inverse.
    """

    x: Any
    log_det: Any
    error: Any
    largest: Any


@partial(jax.jit, static_argnums=0, compiler_options=BRISKLY)
def back_and_again(flow: Bijector, params: Params, z: Latents) -> BackAndAgain:
    """The one program for latents of both images and samples."""
    x, log_det = flow.inverse(params, z)
    error = latent_round_trip(z, flow.forward(params, x)[0])
    walked = inverse_with_extremes(flow, flow.freeze(params), z)
    return BackAndAgain(x, log_det, error, walked[2].largest)


@partial(jax.jit, static_argnums=2, compiler_options=BRIEFEST)
def _compared(x: Event, back: Event, n_bits: int | None) -> tuple[ImageRoundTrip, tuple]:
    events = tuple(range(1, x.ndim))
    kinds = (jnp.isnan, jnp.isposinf, jnp.isneginf)
    return (
        image_round_trip(x, back, n_bits=n_bits),
        tuple(kind(back).mean(events) for kind in kinds),
    )
