"""Round trips of noise: decoded, and encoded again, sample by sample and by noise level."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import at_rows, rows_held
from flowjax_glow.density import sample_latents
from flowjax_glow.diagnostics.chunks import CHUNK
from flowjax_glow.diagnostics.round_trips import back_and_again
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.thresholds import LIMIT, LOST, OUT_OF_RANGE, TAUS
from flowjax_glow.effort import BRISKLY
from flowjax_glow.errors import check_count, expected
from flowjax_glow.types import Latents, Params


@dataclass(frozen=True, eq=False)
class LatentRoundTrips(Result):
    """Noise ``tau eps`` -> image -> noise, a row per noise level.

    Attributes:
        tau: the noise level.
        samples: how many; at tau = 0 all are one, or one for each context that is held.
        median, worst: ``|z - z'| / max(|z|, 0.1 sqrt(D))``, infinite where not finite.
        lost: the fraction of samples with an error above `LOST`.
        not_finite: the fraction of samples with an image that is not finite.
        largest: the largest absolute value of an image, which should be about 0.5.
        out_of_range: the fraction of samples with a value beyond `OUT_OF_RANGE`, far outside of
            the colors. Such a sample may come back all the same.
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
    out_of_range: np.ndarray
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
    """Decodes and encodes the same noise at every level; `shape` is that of one image.

    Args:
        samples: at every level, or as many as the parameters hold contexts if these are more.

    Raises:
        ValueError: if `samples` is no whole number above 0, there are no `taus`, or one is negative
            or not finite.
    """
    noise = Noise(flow, params, tuple(shape), seed, chunk)
    return noise_round_trips(noise_trips(noise, taus, samples))


@dataclass(frozen=True, eq=False)
class Noise:
    """Standard normal latents by number; more of them begin with the same ones.

    Where parameters hold contexts, samples take them in turn.
    """

    flow: Bijector
    params: Params
    shape: tuple[int, ...]
    seed: int = 0
    chunk: int = CHUNK

    def given(self, numbers: Sequence[int]) -> Params:
        """The parameters at the contexts of the samples of these numbers."""
        return at_rows(self.params, np.asarray(numbers) % rows_held(self.params))

    def part(self, index: int, tau: float) -> Latents:
        """``tau eps`` for the `chunk` samples from ``index * chunk`` on."""
        key, first = jax.random.key(self.seed), index * self.chunk
        params = self.given(range(first, first + self.chunk))
        return _drawn(self.flow, params, key, index, (self.chunk, *self.shape), tau)

    def picked(self, places: Sequence[tuple[float, int]]) -> Latents:
        """The latents of some samples, ``(tau, number)`` each."""
        parts = {
            (tau, index): jax.device_get(self.part(index, tau))
            for tau, index in {(tau, number // self.chunk) for tau, number in places}
        }
        rows = [
            jax.tree.map(lambda z: z[number % self.chunk], parts[tau, number // self.chunk])  # noqa: B023
            for tau, number in places
        ]
        return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)


@partial(jax.jit, static_argnums=(0, 4), compiler_options=BRISKLY)
def _drawn(
    flow: Bijector,
    params: Params,
    key: jax.Array,
    index: jax.Array,
    shape: tuple[int, ...],
    tau: jax.Array,
) -> Latents:
    return sample_latents(flow, params, jax.random.fold_in(key, index), shape, temperature=tau)


class NoiseTrips(NamedTuple):
    """Samples at one noise level; arrays with one number each.

    Attributes:
        tau: the level.
        error: ``|z - z'| / max(|z|, 0.1 sqrt(D))``, infinite where not finite.
        largest: the largest absolute value of the image, infinite where not finite.
        activation: the largest of any sub-layer on the way there.
        relative: the largest activation over that of images at the same sub-layer.
    """

    tau: float
    error: np.ndarray
    largest: np.ndarray
    activation: np.ndarray
    relative: np.ndarray


def noise_trips(
    noise: Noise,
    taus: Sequence[float],
    samples: int,
    of_images: Float[np.ndarray, " layers"] | None = None,
) -> list[NoiseTrips]:
    """Decodes and encodes noise, sample by sample; at tau = 0 one, since all are the same.

    Where the parameters hold contexts, it is one of each at tau = 0, and samples take turns.

    Args:
        samples: at every level, or as many as the parameters hold contexts if these are more.
        of_images: the largest activations of images (`largest_on_images`), 1 if not given.
    """
    check_count("latent_round_trips.samples", samples)
    if not len(taus) or not all(0 <= tau < math.inf for tau in taus):
        raise expected(
            "latent_round_trips.taus",
            "noise levels of 0 or more",
            got=f"{tuple(taus)}",
            advice="use (1.0,) for the level of samples",
        )
    held = rows_held(noise.params)
    samples = max(samples, held)  # or some contexts would never be seen
    size = min(noise.chunk, samples)

    def measured(index: int, tau: float) -> tuple[np.ndarray, ...]:
        z = jax.tree.map(lambda leaf: leaf[:size], jax.device_get(noise.part(index, tau)))
        params = noise.given(range(index * size, (index + 1) * size))
        back = jax.device_get(back_and_again(noise.flow, params, z))
        return (
            back.error,
            _largest(back.x),
            back.largest.max(0),
            relative_to(back.largest, of_images).max(0),
        )

    levels = []
    for tau in taus:
        count = samples if tau > 0 else held
        parts = [measured(index, tau) for index in range(-(-count // size))]
        columns = (np.concatenate(part)[:count] for part in zip(*parts, strict=True))
        levels.append(NoiseTrips(tau, *columns))
    return levels


def relative_to(
    activations: Float[np.ndarray, "layers batch"], of_images: Float[np.ndarray, " layers"] | None
) -> Float[np.ndarray, "layers batch"]:
    """Activations over those of images, infinite where not finite."""
    if of_images is None:
        return activations
    tiny = np.finfo(np.float32).tiny
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = activations / np.maximum(of_images, tiny)[:, None]
    return np.where(np.isfinite(activations), ratio, np.inf)


def _largest(x: np.ndarray) -> np.ndarray:
    """The largest absolute value of every image, infinite where one is not finite."""
    return np.where(np.isfinite(x), np.abs(x), np.inf).max(tuple(range(1, x.ndim)))


def noise_round_trips(levels: Sequence[NoiseTrips]) -> LatentRoundTrips:
    """The table of some noise levels."""

    def each(measure: Callable[[NoiseTrips], Any]) -> np.ndarray:
        return np.array([measure(level) for level in levels])

    return LatentRoundTrips(
        tau=each(lambda level: level.tau),
        samples=each(lambda level: len(level.error)),
        median=each(lambda level: np.median(level.error)),
        worst=each(lambda level: level.error.max()),
        lost=each(lambda level: (level.error > LOST).mean()),
        not_finite=each(lambda level: (~np.isfinite(level.largest)).mean()),
        largest=each(lambda level: level.largest.max()),
        out_of_range=each(lambda level: (level.largest > OUT_OF_RANGE).mean()),
        activation=each(lambda level: level.activation.max()),
        over=each(lambda level: (level.activation > LIMIT).mean()),
    )
