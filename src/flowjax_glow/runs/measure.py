"""A flow and its images, decoded in chunks of one size: what the arrays of a run rest on."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import in_turn
from flowjax_glow.data.source import Labels
from flowjax_glow.density import freeze, sample_latents
from flowjax_glow.diagnostics import (
    Decoded,
    ImageRoundTrip,
    decode_observed,
    image_round_trip,
    latent_round_trip,
)
from flowjax_glow.effort import WELL
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs.experiment import Experiment
from flowjax_glow.training import data_mesh, replicate, shard_batch
from flowjax_glow.types import Key, Latents, Params, Pixels

Arrays = dict[str, np.ndarray]

_compiled = partial(jax.jit, compiler_options=WELL)
forward = _compiled(lambda flow, params, x: flow.forward(params, x)[0], static_argnums=0)
_image_round_trip = _compiled(image_round_trip, static_argnames="n_bits")
latent_round_trips = _compiled(latent_round_trip)


@partial(_compiled, static_argnums=(0, 3))
def _noise(flow: Bijector, params: Params, key: Key, shape: tuple[int, ...]) -> Latents:
    return sample_latents(flow, params, key, shape)


class Chunk(NamedTuple):
    """Images, None of samples; latents; and what those decode to without a clip.

    Parameters are at the labels of the chunk.
    """

    params: Params
    x: Any
    z: Latents
    decoded: Decoded


class ChunkedModel:
    """A flow and its parameters, seen in chunks of one size, so that programs compile once.

    Of a model with classes images are at their own labels, samples at the labels in turn.

    The chunks that are decoded under clips, too, are decoded without one once, and kept for that.
    The devices of `mesh`, by default all, split every chunk: images and latents are placed so, and
    what is computed of them follows.
    """

    def __init__(
        self,
        flow: Bijector,
        params: Params,
        experiment: Experiment,
        images: Pixels,
        mesh: Mesh | None = None,
        labels: Labels | None = None,
    ) -> None:
        self._mesh, self._labels = mesh or data_mesh(), labels  # of the images
        self.trained = params = replicate(self._mesh, params)
        self.flow = flow
        self._params = freeze(flow, params)
        self.experiment = experiment
        self._images = images  # held-out, uint8
        self._shape = (experiment.chunk, *images.shape[1:])
        # 0 and 1 are those of the start and of training
        self.key = jax.random.fold_in(jax.random.key(experiment.seed), 2)
        self._kept: dict[tuple[float | str, int], Chunk] = {}  # the first ones of every kind

    def _at(self, labels: Labels) -> Params:
        """The parameters at the labels of a chunk."""
        rows = np.eye(self.experiment.model.classes, dtype=np.float32)[labels]
        return self.flow.given(self._params, shard_batch(self._mesh, rows))

    def decode(self, params: Params, z: Latents, limit: float = np.inf) -> Decoded:
        return decode_observed(self.flow, params, z, limit)

    def latents(self, tau: float, samples: int) -> Iterator[tuple[Params, Latents]]:
        """The same noise at every tau, step and clip of a run, after the parameters for it."""
        for index in range(samples // self.experiment.chunk):
            yield self._noise(tau, index)

    def _noise(self, tau: float, index: int) -> tuple[Params, Latents]:
        key, params = jax.random.fold_in(self.key, index), self._params
        chunk, classes = self.experiment.chunk, self.experiment.model.classes
        if classes:
            params = self._at(in_turn(classes, chunk, index * chunk))
        noise = shard_batch(self._mesh, _noise(self.flow, params, key, self._shape))
        return params, jax.tree.map(lambda leaf: tau * leaf, noise)

    def of_noise(self, tau: float, samples: int) -> Iterator[Chunk]:
        """The chunks of `latents`, decoded."""

        def drawn(index: int) -> tuple[Params, None, Latents]:
            params, z = self._noise(tau, index)
            return params, None, z

        return self._decoded(tau, samples, drawn)

    def of_images(self, images: int) -> Iterator[Chunk]:
        """Held-out images at their bins' midpoints, their latents, decoded."""

        def encoded(index: int) -> tuple[Params, jax.Array, Latents]:
            start = index * self.experiment.chunk
            rows = slice(start, start + self.experiment.chunk)
            pixels = shard_batch(self._mesh, self._images[rows])
            params = self._params if self._labels is None else self._at(self._labels[rows])
            x = bin_midpoints(pixels, n_bits=self.experiment.n_bits)
            return params, x, forward(self.flow, params, x)

        return self._decoded("images", images, encoded)

    def _decoded(
        self, kind: float | str, examples: int, start: Callable[[int], tuple[Params, Any, Latents]]
    ) -> Iterator[Chunk]:
        """Chunks of a noise level, or of images, that were kept or are decoded now."""
        for index in range(examples // self.experiment.chunk):
            found = self._kept.get((kind, index))
            if found is None:
                params, x, z = start(index)
                found = Chunk(params, x, z, self.decode(params, z))
            if index < self.experiment.clip_samples // self.experiment.chunk:
                self._kept[kind, index] = found
            yield found

    def image_round_trip(self, x: jax.Array, back: jax.Array) -> ImageRoundTrip:
        return _image_round_trip(x, back, n_bits=self.experiment.n_bits)

    def with_params(self, params: Params) -> "ChunkedModel":
        own = (self.experiment, self._images, self._mesh, self._labels)
        return ChunkedModel(self.flow, params, *own)
