"""Round trips: how far images and latents are from what they come back as."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.chunks import CHUNK, in_chunks
from flowjax_glow.diagnostics.linear import sizes
from flowjax_glow.diagnostics.table import Result, worst
from flowjax_glow.diagnostics.thresholds import LIMIT, LOST, TAUS
from flowjax_glow.diagnostics.trace import largest_activation
from flowjax_glow.errors import check_count, expected
from flowjax_glow.numerics import event_size, sum_events, zero_log_det
from flowjax_glow.pixels import bin_midpoints, quantize
from flowjax_glow.types import Image, Latents, Params, Pixels

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


@dataclass(frozen=True, eq=False)
class Reconstruction(Result):
    """Images -> latents -> images, at the midpoints of their bins; one row.

    Attributes:
        images: how many.
        median, worst: relative L2 errors; infinite where anything is not finite.
        largest: the largest absolute error of a value; images span [-0.5, 0.5).
        bins: the worst image's mean error in bins.
        bit_exact: the fraction of images that come back in the same bins, every value of them: an
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
    bit_exact: np.ndarray
    nan: np.ndarray
    plus_infinity: np.ndarray
    minus_infinity: np.ndarray
    log_det_error: np.ndarray
    activation: np.ndarray
    over: np.ndarray


def reconstruction(
    flow: Bijector, params: Params, images: Pixels, *, n_bits: int = 8, chunk: int = CHUNK
) -> Reconstruction:
    """Encodes and decodes uint8 images, and compares what comes back."""

    def measure(part: Pixels) -> tuple:
        *found, z = _images_and_back(flow, params, part, n_bits)
        return *found, largest_activation(flow, params, z)

    trip, values, log_dets, activations = in_chunks(measure, jnp.asarray(images), chunk)
    return Reconstruction(
        images=np.array([len(images)]),
        median=np.median(trip.relative, keepdims=True),
        worst=trip.relative.max(keepdims=True),
        largest=trip.largest.max(keepdims=True),
        bins=trip.bins.max(keepdims=True),
        bit_exact=trip.bit_exact.mean(keepdims=True),
        nan=values["nan"].mean(keepdims=True),
        plus_infinity=values["plus"].mean(keepdims=True),
        minus_infinity=values["minus"].mean(keepdims=True),
        log_det_error=np.array([worst(np.abs(log_dets))]),
        activation=activations.max(keepdims=True),
        over=(activations > LIMIT).mean(keepdims=True),
    )


@partial(jax.jit, static_argnums=(0, 3))
def _images_and_back(flow: Bijector, params: Params, images: Pixels, n_bits: int) -> tuple:
    x = bin_midpoints(images, n_bits=n_bits)
    z, log_det = flow.forward(params, x)
    back, inverse_log_det = flow.inverse(params, z)
    events = tuple(range(1, x.ndim))
    values = {
        "nan": jnp.isnan(back).mean(events),
        "plus": jnp.isposinf(back).mean(events),
        "minus": jnp.isneginf(back).mean(events),
    }
    trip = image_round_trip(x, back, n_bits=n_bits)
    log_dets = (log_det + inverse_log_det) / (event_size(x) * math.log(2))
    return trip, values, log_dets, z


@dataclass(frozen=True, eq=False)
class LatentRoundTrips(Result):
    """Noise ``tau eps`` -> image -> noise, a row per noise level.

    Attributes:
        tau: the noise level.
        samples: how many.
        median, worst: ``|z - z'| / max(|z|, 0.1 sqrt(D))``, infinite where not finite.
        lost: the fraction of samples with an error above `LOST`.
        not_finite: the fraction of samples with an image that is not finite.
        largest: the largest absolute value of an image, which should be about 0.5.
        activation: the largest of any sub-layer on the way there, infinite where not finite.
        over: the fraction of samples with an activation beyond `LIMIT`.
    """

    title = "Noise, decoded and encoded"

    tau: np.ndarray
    samples: np.ndarray
    median: np.ndarray
    worst: np.ndarray
    lost: np.ndarray
    not_finite: np.ndarray
    largest: np.ndarray
    activation: np.ndarray
    over: np.ndarray


def latent_round_trips(
    flow: Bijector,
    params: Params,
    shape: Sequence[int],
    *,
    taus: Sequence[float] = TAUS,
    samples: int = 256,
    seed: int = 0,
    chunk: int = CHUNK,
) -> LatentRoundTrips:
    """Decodes and encodes the same noise at every level; `shape` is that of one image."""
    check_count("latent_round_trips.samples", samples)
    if not len(taus) or not all(0 <= tau < math.inf for tau in taus):
        raise expected(
            "latent_round_trips.taus",
            "noise levels of 0 or more",
            got=f"{tuple(taus)}",
            advice="use (1.0,) for the level of samples",
        )
    chunk = min(chunk, samples)
    keys = jax.random.split(jax.random.key(seed), -(-samples // chunk))
    batch = (chunk, *shape)

    def measure(key: jax.Array, tau: float) -> tuple:
        error, largest, z = _noise_and_back(flow, params, key, batch, tau)
        return error, largest, largest_activation(flow, params, z)

    levels = []
    for tau in taus:
        parts = [jax.device_get(measure(key, tau)) for key in keys]
        levels.append([np.concatenate(part)[:samples] for part in zip(*parts, strict=True)])
    errors, largest, activations = (np.stack(rows) for rows in zip(*levels, strict=True))
    return LatentRoundTrips(
        tau=np.array(taus),
        samples=np.full(len(taus), samples),
        median=np.median(errors, axis=1),
        worst=errors.max(1),
        lost=(errors > LOST).mean(1),
        not_finite=(~np.isfinite(largest)).mean(1),
        largest=largest.max(1),
        activation=activations.max(1),
        over=(activations > LIMIT).mean(1),
    )


@partial(jax.jit, static_argnums=(0, 3))
def _noise_and_back(
    flow: Bijector, params: Params, key: jax.Array, shape: tuple[int, ...], tau: jax.Array
) -> tuple[Float[Array, " batch"], Float[Array, " batch"], Latents]:
    z = sample_latents(flow, params, key, shape, temperature=tau)
    x, _ = flow.inverse(params, z)
    back, _ = flow.forward(params, x)
    return latent_round_trip(z, back), sizes(x).max(tuple(range(1, x.ndim))), z
