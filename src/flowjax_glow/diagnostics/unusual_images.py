"""Images that a flow was not trained on: does its inverse hold there?"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import bits_per_dim, encode
from flowjax_glow.diagnostics.chunks import CHUNK, in_given_chunks
from flowjax_glow.diagnostics.round_trips import reconstruction
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.trace import inverse_with_extremes
from flowjax_glow.types import Params, PerExample, Pixels


@dataclass(frozen=True, eq=False)
class OutOfDistribution(Result):
    """Round trips of images of several kinds, a row per kind.

    Attributes:
        images: the kind.
        bits_per_dim: mean.
        worst: relative error of the worst reconstruction.
        same_bins: the fraction of images that come back in the same bins.
        largest: the largest activation on the way back.
        smallest_scale: the least s met there, 1 if none is smaller.
    """

    title = "Images of other kinds"

    images: np.ndarray
    bits_per_dim: np.ndarray
    worst: np.ndarray
    same_bins: np.ndarray
    largest: np.ndarray
    smallest_scale: np.ndarray


def out_of_distribution(
    flow: Bijector,
    params: Params,
    images: Pixels,
    *,
    n_bits: int = 8,
    seed: int = 0,
    chunk: int = CHUNK,
) -> OutOfDistribution:
    """Measures as many images of every kind as `images` has, whose own row comes first.

    It compiles anew at every call.

    Raises:
        ValueError: if the images are not uint8, `n_bits` is not 1 to 8, or the parameters hold a
            context with other rows.
    """
    key = jax.random.key(seed)

    @jax.jit
    def extremes(params: Params, part: Pixels) -> tuple[PerExample, PerExample]:
        z = encode(flow, params, part, n_bits=n_bits)
        seen = inverse_with_extremes(flow, flow.freeze(params), z)[2]
        return seen.largest.max(0), seen.lowest.min(0)

    bits = jax.jit(lambda own, part: bits_per_dim(flow, own, key, part, n_bits=n_bits))
    rows = []
    for name, kind in {"given": np.asarray(images), **unusual(images, seed)}.items():
        pixels = jnp.asarray(kind)
        trip = reconstruction(flow, params, pixels, n_bits=n_bits, chunk=chunk)
        largest, lowest = in_given_chunks(extremes, params, pixels, chunk)
        mean_bits = in_given_chunks(bits, params, pixels, chunk).mean()
        rows.append(
            (
                name,
                mean_bits,
                trip.worst[0],
                trip.same_bins[0],
                largest.max(),
                np.exp(lowest.min()),
            )
        )
    return OutOfDistribution(*(np.array(column) for column in zip(*rows, strict=True)))


def unusual(images: Pixels, seed: int = 0) -> dict[str, np.ndarray]:
    """uint8 images in the shape of `images`: constants, noises, and theirs with pixels shuffled."""
    generator = np.random.default_rng(seed)
    given = np.asarray(images)
    count, height, width, channels = given.shape
    order = generator.permutation(height * width)
    return {
        "black": np.zeros_like(given),
        "gray": np.full_like(given, 128),
        "white": np.full_like(given, 255),
        "gaussian": generator.normal(128, 64, given.shape).clip(0, 255).astype(np.uint8),
        "uniform": generator.integers(0, 256, given.shape, np.uint8),
        "rademacher": generator.choice(np.array([0, 255], np.uint8), given.shape),
        "shuffled pixels": given.reshape(count, -1, channels)[:, order].reshape(given.shape),
    }
