"""A look at the inverse of a model: at z = 0, at noise of several levels, and at images.

Two programs do it all, one that encodes and one that walks down the inverse; limit and noise level
are arguments of theirs, and all batches have one size.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from benchmarks.accelerator.rules import LIMIT, broken_shares, critical_temperature
from flowjax_glow.bijector import Bijector
from flowjax_glow.data import Images
from flowjax_glow.density import sample_latents, standard_normal_log_prob
from flowjax_glow.diagnostics import image_round_trip, scales_after_splits
from flowjax_glow.diagnostics.chunks import chunks
from flowjax_glow.diagnostics.linear import sizes
from flowjax_glow.numerics import event_size
from flowjax_glow.pixels import bin_midpoints, to_pixels
from flowjax_glow.types import Image, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, log_scale, walk_inverse

TAUS = (1.0, 0.7, 0.5, 0.25, 0.1, 0.0)

#: The paper's limits of the activations, and none.
CLIPS = (10.0, 20.0, 30.0, 40.0, 50.0, 100.0, 500.0, 1000.0, float("inf"))

#: Of log s, whose outliers are looked for.
QUANTILE = 1e-5

#: Pictures of decoded noise that are kept per look.
SHOWN = 8


class Seen(NamedTuple):
    """What one sub-layer of the inverse gave, one entry per example.

    Attributes:
        largest: the largest absolute activation before clipping, infinite if any is not finite.
        place: its row, column and channel, and 1 if it is on the border of the image, else 0.
        log_scale: all log s, or None where nothing is scaled.
    """

    largest: Array
    place: Array
    log_scale: Array | None


class Walk(NamedTuple):
    """What a walk found, layers in the order of generation.

    Attributes:
        x: the decoded images.
        largest, place: of `Seen`, `(layers, batch)` and `(layers, batch, 4)`.
        scales: log s of the first step after each split, finest level first.
    """

    x: Image
    largest: Array
    place: Array
    scales: tuple[Array, ...]


@partial(jax.jit, static_argnums=0)
def walk(flow: Bijector, params: Params, z: Latents, limit: Array, tau: Array) -> Walk:
    """Decodes ``tau z``, every activation clipped to [-limit, limit]."""

    def visit(
        bijector: Bijector, params: Params, z: Latents, x: Image, log_det: LogDet
    ) -> tuple[Image, Seen]:
        flat = sizes(x).reshape(len(x), -1)
        row, column, channel = jnp.unravel_index(flat.argmax(1), x.shape[1:])
        border = _on_border(row, column, x.shape[1:3]).astype(row.dtype)
        place = jnp.stack([row, column, channel, border], axis=-1)
        scale = log_scale(bijector, params, z)
        return jnp.clip(x, -limit, limit), Seen(flat.max(1), place, scale)

    z = jax.tree.map(lambda leaf: tau * leaf, z)
    x, _, records = walk_inverse(flow, params, z, visit)
    seen = [record for _, _, record in flatten_records(flow, records)]
    return Walk(
        x,
        jnp.stack([each.largest for each in seen]),
        jnp.stack([each.place for each in seen]),
        scales_after_splits(flow, records),
    )


def _on_border(row: Any, column: Any, shape: tuple[int, ...]) -> Any:
    """Where the zeros around the image reach into a 3x3 convolution."""
    height, width = shape
    return (row % max(height - 1, 1) == 0) | (column % max(width - 1, 1) == 0)


def layer_names(flow: Bijector, params: Params, z: Latents) -> list[str]:
    """Of the layers of `Walk`."""
    names: list[str] = []

    def trace(params: Params, z: Latents) -> Any:
        records = walk_inverse(flow, params, z, lambda *seen: (seen[3], seen[4]))[2]
        names.extend(name for name, _, _ in flatten_records(flow, records))
        return records

    jax.eval_shape(trace, params, z)
    return names


@partial(jax.jit, static_argnums=(0, 3))
def encode(
    flow: Bijector, params: Params, images: Images, n_bits: int
) -> tuple[Image, Latents, LogDet]:
    """Images at their bins' midpoints, their latents, and their bits/dim there."""
    x = bin_midpoints(images, n_bits=n_bits)
    z, log_det = flow.forward(params, x)
    nats = (standard_normal_log_prob(z) + log_det) / event_size(x)
    return x, z, n_bits - nats / jnp.log(2.0)


@partial(jax.jit, static_argnums=(0, 3))
def _noise(flow: Bijector, params: Params, key: Array, shape: tuple[int, ...]) -> Latents:
    return sample_latents(flow, params, key, shape)


_freeze = jax.jit(lambda flow, params: flow.freeze(params), static_argnums=0)


@dataclass
class Looker:
    """Looks at a flow; images and noise are the same in every look. `compile` comes first.

    Attributes:
      flow: as it is inverted.
      images: held out, uint8.
      samples: of noise, per level.
      chunk: examples per compiled call.
    """

    flow: Bijector
    images: Images
    n_bits: int
    samples: int
    chunk: int
    seed: int = 0
    _names: list[str] = field(default_factory=list)

    def compile(self, params: Params) -> None:
        """Runs both programs once."""
        frozen = _freeze(self.flow, params)
        z = next(self._latents(frozen))
        self._names = layer_names(self.flow, frozen, z)
        with ThreadPoolExecutor() as pool:
            walked = pool.submit(self._walk, frozen, z)
            jax.block_until_ready(encode(self.flow, frozen, self.images[: self.chunk], self.n_bits))
            jax.block_until_ready(walked.result())

    def look(self, params: Params, step: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What was found, as JSON, and the arrays behind it."""
        start = time.monotonic()
        frozen = _freeze(self.flow, params)
        zero, zero_largest = self._zero(frozen)
        noise = {tau: self._at(frozen, tau) for tau in TAUS}
        errors, bits = self.reconstruct(params)
        critical = critical_temperature(
            lambda tau: _over(self._largest(self._walks(frozen, tau))),
            {tau: found["over"] for tau, found in noise.items()},
        )
        arrays = {
            "zero_largest": zero_largest,
            "noise_largest": np.stack([found.pop("each") for found in noise.values()]),
            "noise_images": np.stack([found.pop("images") for found in noise.values()]),
            "reconstruction_error": errors,
        }
        found = {
            "step": step,
            "zero": zero,
            "noise": [{"tau": tau, **row} for tau, row in noise.items()],
            "critical_temperature": critical,
            "bits_per_dim": float(bits.mean()),
            "reconstruction": summary(errors),
            "seconds": time.monotonic() - start,
        }
        return found, arrays

    def reconstruct(self, params: Params) -> tuple[np.ndarray, np.ndarray]:
        """Relative errors of all images under all `CLIPS`, infinite where anything is not finite,
        `(clips, images)`; and their bits/dim."""
        frozen = _freeze(self.flow, params)
        errors, bits = [], []
        for pixels, new in chunks(self.images, self.chunk):
            x, z, each = encode(self.flow, frozen, pixels, self.n_bits)
            free = self._walk(frozen, z)
            reach = float(free.largest.max())  # a clip beyond it changes nothing
            decodes = [free if reach <= clip else self._walk(frozen, z, clip) for clip in CLIPS]
            errors.append(np.stack([_relative_errors(x, walk.x)[-new:] for walk in decodes]))
            bits.append(np.asarray(each)[-new:])
        return np.concatenate(errors, axis=1), np.concatenate(bits)

    def _walk(self, frozen: Params, z: Latents, clip: float = np.inf, tau: float = 1.0) -> Walk:
        return walk(self.flow, frozen, z, np.float32(clip), np.float32(tau))

    def _latents(self, frozen: Params) -> Iterator[Latents]:
        """Standard normal, chunk by chunk."""
        key, shape = jax.random.key(self.seed), (self.chunk, *self.images.shape[1:])
        for index in range(-(-self.samples // self.chunk)):
            yield _noise(self.flow, frozen, jax.random.fold_in(key, index), shape)

    def _walks(self, frozen: Params, tau: float) -> list[Walk]:
        return [self._walk(frozen, z, tau=tau) for z in self._latents(frozen)]

    def _largest(self, walks: Sequence[Walk]) -> np.ndarray:
        """The largest activation of every sample on its way."""
        return np.concatenate([np.asarray(w.largest).max(0) for w in walks])[: self.samples]

    def _zero(self, frozen: Params) -> tuple[dict[str, Any], np.ndarray]:
        """The largest activation at z = 0, and where; those of all layers."""
        seen = self._walk(frozen, next(self._latents(frozen)), tau=0.0)
        largest = np.asarray(seen.largest)[:, 0]
        layer = int(largest.argmax())
        row, column, channel, border = np.asarray(seen.place)[layer, 0].tolist()
        found = {
            "largest": float(largest[layer]),
            "layer": self._names[layer],
            "row": row,
            "column": column,
            "channel": channel,
            "border": bool(border),
        }
        return found, largest

    def _at(self, frozen: Params, tau: float) -> dict[str, Any]:
        """Samples at one noise level; `each` and `images` are arrays."""
        walks = self._walks(frozen, tau)
        largest = self._largest(walks)
        scales = [
            np.concatenate(place)[: self.samples] for place in zip(*(w.scales for w in walks))
        ]
        return {
            "largest": float(largest.max()),
            "median_largest": float(np.median(largest)),
            "over": _over(largest),
            "scales": [outliers(place) for place in scales],
            "each": largest,
            "images": np.asarray(to_pixels(walks[0].x[:SHOWN], n_bits=self.n_bits)),
        }


def summary(errors: np.ndarray) -> dict[str, list[float]]:
    """Of reconstructions, per clip."""
    return {
        "clips": list(CLIPS),
        "median": np.median(errors, axis=1).tolist(),
        "worst": errors.max(1).tolist(),
        "broken": broken_shares(errors),
    }


def outliers(log_s: np.ndarray) -> dict[str, float]:
    """The least s of a coupling, its 1e-5 quantile, and where those up to it are.

    ``border`` is the share of them on the border of the image, beside ``border_pixels``, that of
    all pixels; ``channel`` is the moved channel that most of them are in, ``channel_share`` how
    many. Where the inverse has overflowed, s is not a number and counts as 0.

    Args:
      log_s: `(samples, height, width, channels)`.
    """
    values = np.where(np.isnan(log_s), -np.inf, log_s)
    rank = int(QUANTILE * values.size)
    quantile = np.partition(values, rank, axis=None)[rank]
    _, rows, columns, channels = np.nonzero(values <= quantile)
    shape = values.shape[1:3]
    rows_of_all, columns_of_all = np.indices(shape)
    channel, many = Counter(channels.tolist()).most_common(1)[0]
    return {
        "least": float(np.exp(values.min())),
        "quantile": float(np.exp(quantile)),
        "border": float(_on_border(rows, columns, shape).mean()),
        "border_pixels": float(_on_border(rows_of_all, columns_of_all, shape).mean()),
        "channel": channel,
        "channel_share": many / len(channels),
    }


def _over(largest: np.ndarray) -> float:
    return float(np.mean(largest > LIMIT))


@jax.jit
def _relative(x: Image, back: Image) -> Array:
    return image_round_trip(x, back).relative


def _relative_errors(x: Image, back: Image) -> np.ndarray:
    return np.asarray(_relative(x, back))
