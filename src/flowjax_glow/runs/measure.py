"""What the figures rest on: arrays of a flow's inverse, as docs/run-folder.md lists them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import ActNorm, AffineCoupling, ChannelMixing
from flowjax_glow.context import in_turn
from flowjax_glow.data.source import Labels
from flowjax_glow.density import freeze, sample_latents
from flowjax_glow.diagnostics import (
    Decoded,
    ImageRoundTrip,
    decode_observed,
    image_round_trip,
    latent_round_trip,
    redraw_permutations,
    stack,
    summed_log_det,
)
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.effort import WELL
from flowjax_glow.numerics import event_size
from flowjax_glow.pixels import bin_midpoints
from flowjax_glow.runs.experiment import CLIPS, TAUS, TEMPERATURES, Experiment
from flowjax_glow.training import data_mesh, replicate, shard_batch
from flowjax_glow.types import Key, Latents, Params, Pixels

Arrays = dict[str, np.ndarray]

# Fine enough for a bound that knows the depth: log10 s within 0.05 of 0 at depth 32.
LOG10_S_EDGES = np.linspace(-8.0, 1.0, 901)
QUANTILES = (1e-4, 1e-3, 1e-2, 0.5)
GROWTH_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
THRESHOLDS = (1e-2, 1e-3)
FAILING = 0.01  # share of samples beyond it that makes a noise level critical
BISECTIONS = 4  # between two noise levels that were looked at
TAIL = 1e-5  # quantile of s that stands for its outliers
OUTLIERS = 1e-4  # share of s whose places are told; at 1e-5 there are a handful
OWN_TAU = 0.1  # noise level of one split alone; at 0 its noise is the same in all samples
SHOWN = 8  # pictures kept per panel
REDRAWS = 3  # of the permutations, each decoding the same images

_compiled = partial(jax.jit, compiler_options=WELL)
_forward = _compiled(lambda flow, params, x: flow.forward(params, x)[0], static_argnums=0)
_image_round_trip = _compiled(image_round_trip, static_argnames="n_bits")
_latent_round_trip = _compiled(latent_round_trip)


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


class Measurement:
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
        self._trained = params = replicate(self._mesh, params)
        self._flow = flow
        self._params = freeze(flow, params)
        self._experiment = experiment
        self._images = images  # held-out, uint8
        self._shape = (experiment.chunk, *images.shape[1:])
        # 0 and 1 are those of the start and of training
        self._key = jax.random.fold_in(jax.random.key(experiment.seed), 2)
        self._kept: dict[tuple[float | str, int], Chunk] = {}  # the first ones of every kind

    def look(self, samples: int, *, last: bool = False) -> Arrays:
        """The arrays of look-*.npz, `samples` per tau; the `last` look has more of them."""
        taus = [self._look_at_noise(tau, samples) for tau in TAUS]
        images = self._look_at_images()
        scales = [tau.pop("scales") for tau in taus] + [images.pop("scales")]
        along = {"log_growth": np.stack([_growth(tau.pop("along")) for tau in taus])}
        return {
            "taus": np.array(TAUS),
            **{name: np.stack([tau[name] for tau in taus]) for name in taus[0]},
            **images,
            **_scale_statistics(scales),
            "critical_temperature": np.array(
                self._critical_temperature(
                    {t: seen["max_activation"] for t, seen in zip(TAUS, taus)}
                )
            ),
            **(self._own_noise(scales[0], samples) if last else {}),
            **(along if last else {}),
        }

    def clipping(self) -> Arrays:
        """The arrays of clipping-*.npz."""
        return {
            "clips": np.array(CLIPS),
            **self._clip_zero(),
            **self._clip_samples(),
            **self._clip_images(),
            **self._temperatures(),
            **self._redrawn(),
        }

    def _at(self, labels: Labels) -> Params:
        """The parameters at the labels of a chunk."""
        rows = np.eye(self._experiment.model.classes, dtype=np.float32)[labels]
        return self._flow.given(self._params, shard_batch(self._mesh, rows))

    def _decode(self, params: Params, z: Latents, limit: float = np.inf) -> Decoded:
        return decode_observed(self._flow, params, z, limit)

    def _latents(self, tau: float, samples: int) -> Iterator[tuple[Params, Latents]]:
        """The same noise at every tau, step and clip of a run, after the parameters for it."""
        for index in range(samples // self._experiment.chunk):
            yield self._noise(tau, index)

    def _noise(self, tau: float, index: int) -> tuple[Params, Latents]:
        key, params = jax.random.fold_in(self._key, index), self._params
        chunk, classes = self._experiment.chunk, self._experiment.model.classes
        if classes:
            params = self._at(in_turn(classes, chunk, index * chunk))
        noise = shard_batch(self._mesh, _noise(self._flow, params, key, self._shape))
        return params, jax.tree.map(lambda leaf: tau * leaf, noise)

    def _of_noise(self, tau: float, samples: int) -> Iterator[Chunk]:
        """The chunks of `_latents`, decoded."""

        def drawn(index: int) -> tuple[Params, None, Latents]:
            params, z = self._noise(tau, index)
            return params, None, z

        return self._decoded(tau, samples, drawn)

    def _of_images(self, images: int) -> Iterator[Chunk]:
        """Held-out images at their bins' midpoints, their latents, decoded."""

        def encoded(index: int) -> tuple[Params, jax.Array, Latents]:
            start = index * self._experiment.chunk
            rows = slice(start, start + self._experiment.chunk)
            pixels = shard_batch(self._mesh, self._images[rows])
            params = self._params if self._labels is None else self._at(self._labels[rows])
            x = bin_midpoints(pixels, n_bits=self._experiment.n_bits)
            return params, x, _forward(self._flow, params, x)

        return self._decoded("images", images, encoded)

    def _decoded(
        self, kind: float | str, examples: int, start: Callable[[int], tuple[Params, Any, Latents]]
    ) -> Iterator[Chunk]:
        """Chunks of a noise level, or of images, that were kept or are decoded now."""
        for index in range(examples // self._experiment.chunk):
            found = self._kept.get((kind, index))
            if found is None:
                params, x, z = start(index)
                found = Chunk(params, x, z, self._decode(params, z))
            if index < self._experiment.clip_samples // self._experiment.chunk:
                self._kept[kind, index] = found
            yield found

    def _look_at_noise(self, tau: float, samples: int) -> dict:
        rows, scales, along = [], [], []
        # without noise, and without labels, all samples are the same
        alike = not (tau or self._experiment.model.classes)
        drawn = self._experiment.chunk if alike else samples
        for params, _, z, decoded in self._of_noise(tau, drawn):
            back = _forward(self._flow, params, decoded.x)
            lowest = stack(decoded.layers, "min_log_scale")
            along.append(stack(decoded.layers, "largest"))
            rows.append(
                {
                    "z_error": np.asarray(_latent_round_trip(z, back)),
                    "max_activation": along[-1].max(0),
                    "min_log_s": lowest.min(0),
                    "chain_log_gain": -lowest.sum(0),
                }
            )
            scales.append(decoded.scales)
        times = samples // drawn
        found = {
            "scales": _join_places(scales * times),
            "along": np.concatenate(along * times, axis=1),
        }
        return _concatenate(rows * times) | found

    def _critical_temperature(self, largest: dict[float, np.ndarray]) -> float:
        """The least noise level at which `FAILING` of the samples pass `LIMIT`.

        Between the levels of `largest`, the largest activation of every sample, it is found by
        bisection, to a sixteenth of their distance and from above. Infinite if no level fails.
        """

        levels = sorted(largest)
        failing = [_too_many(_passing(largest[tau]), len(largest[tau])) for tau in levels]
        if not any(failing):
            return np.inf
        upper = levels[failing.index(True)]
        lower = max((tau for tau in levels if tau < upper), default=upper)
        samples = len(largest[upper])
        for _ in range(BISECTIONS if lower < upper else 0):
            middle = (lower + upper) / 2
            lower, upper = (lower, middle) if self._fails(middle, samples) else (middle, upper)
        return upper

    def _fails(self, tau: float, samples: int) -> bool:
        """Whether a noise level fails; the rest is not decoded once so many have passed."""
        passing = 0
        for params, z in self._latents(tau, samples):
            passing += _passing(stack(self._decode(params, z).layers, "largest").max(0))
            if _too_many(passing, samples):
                return True
        return False

    def _own_noise(self, at_one: list[np.ndarray], samples: int) -> Arrays:
        """The small s after each split, where the noise of that split alone is at `OWN_TAU`.

        All other latents stay at tau = 1; `at_one` are the places' log s with this one there, too.
        """
        at_low = []
        for place in range(len(at_one)):
            levels = [1.0] * (len(at_one) + 1)
            levels[place] = OWN_TAU
            chunks = [
                self._decode(
                    params, tuple(tau * leaf for tau, leaf in zip(levels, z, strict=True))
                ).scales
                for params, z in self._latents(1.0, samples)
            ]
            at_low.append(np.concatenate([chunk[place] for chunk in chunks]))
        rows = [[_small_scales(place) for place in places] for places in zip(at_one, at_low)]
        return {
            "own_taus": np.array([1.0, OWN_TAU]),
            **{
                f"own_{name}": np.array([[row[name] for row in place] for place in rows])
                for name in (rows[0][0] if rows else ())
            },
        }

    def _look_at_images(self) -> dict:
        rows, scales = [], []
        for _, x, _, decoded in self._of_images(self._experiment.held_out):
            trip = self._image_round_trip(x, decoded.x)
            dims = event_size(x)
            rows.append(
                {
                    "x_error": np.asarray(trip.relative),
                    "x_max_error": np.asarray(trip.largest),
                    "x_bin_error": np.asarray(trip.bins),
                    "bit_exact": np.asarray(trip.same_bins),
                    # log-dets of the inverse, so the forward ones have the other sign
                    "sum_log_s": -summed_log_det(decoded.layers, AffineCoupling) / dims,
                    "sum_log_actnorm": -summed_log_det(decoded.layers, ActNorm) / dims,
                    "sum_log_conv": -summed_log_det(decoded.layers, ChannelMixing) / dims,
                }
            )
            scales.append(decoded.scales)
        arrays = _concatenate(rows)
        for name in ("sum_log_actnorm", "sum_log_conv"):  # the same for every image
            arrays[name] = arrays[name][0]
        return {**arrays, "scales": _join_places(scales)}

    def _image_round_trip(self, x: jax.Array, back: jax.Array) -> ImageRoundTrip:
        return _image_round_trip(x, back, n_bits=self._experiment.n_bits)

    def _under_clips(self, chunk: Chunk) -> list[Decoded]:
        """One decode per clip of CLIPS; a clip that no activation reaches changes nothing."""
        reach = stack(chunk.decoded.layers, "largest").max()
        return [
            chunk.decoded if reach <= clip else self._decode(chunk.params, chunk.z, clip)
            for clip in CLIPS
        ]

    def _clip_zero(self) -> Arrays:
        (chunk,) = self._of_noise(0.0, self._experiment.chunk)
        decodes = self._under_clips(chunk)
        free = decodes[-1].layers
        largest = stack(free, "largest")[:, 0]
        return {
            "layers": np.array([layer.name for layer in free]),
            "zero_images": np.stack([np.asarray(decoded.x[0]) for decoded in decodes]),
            "zero_clipped": np.stack([stack(d.layers, "clipped")[:, 0] for d in decodes]),
            "zero_max": largest,
            "zero_nonfinite": stack(free, "nonfinite")[:, 0],
            "zero_first_over": np.array([_first_over(largest, clip) for clip in CLIPS]),
        }

    def _clip_samples(self) -> Arrays:
        free = self._of_noise(1.0, self._experiment.clip_samples)
        chunks = [self._under_clips(chunk) for chunk in free]
        largest = [stack(chunk[-1].layers, "largest").max(1) for chunk in chunks]
        return {
            "sample_images": _pictures(chunks[0]),
            "sample_hit": _per_clip(_hit, chunks),
            "sample_max": np.max(largest, axis=0),
        }

    def _clip_images(self) -> Arrays:
        free = list(self._of_images(self._experiment.clip_samples))
        chunks = [self._under_clips(chunk) for chunk in free]
        errors = [
            [np.asarray(self._image_round_trip(x, decoded.x).relative) for decoded in chunk]
            for (_, x, *_), chunk in zip(free, chunks)
        ]
        return {
            "originals": np.asarray(free[0].x[:SHOWN]),
            "reconstructions": _pictures(chunks[0]),
            "reconstruction_error": np.concatenate(errors, axis=1),
            "reconstruction_hit": _per_clip(_hit, chunks),
        }

    def _redrawn(self) -> Arrays:
        """The reconstructions with every permutation drawn anew; nothing of a flow without any."""
        keys = jax.random.split(jax.random.fold_in(self._key, 2**31), REDRAWS)
        draws = [redraw_permutations(self._flow, self._trained, key) for key in keys]
        if jax.tree.all(jax.tree.map(np.array_equal, draws[0], self._trained)):
            return {}
        seen = [self._with(params) for params in draws]
        clipped = [measurement._clip_images() for measurement in seen]
        latents = [
            [
                np.abs(leaf).max()
                for chunk in each._of_images(self._experiment.clip_samples)
                for leaf in chunk.z
            ]
            for each in seen
        ]
        return {
            "redrawn_reconstructions": clipped[0]["reconstructions"],
            "redrawn_error": np.stack([each["reconstruction_error"] for each in clipped]),
            "redrawn_latent": np.max(latents, axis=1),
        }

    def _with(self, params: Params) -> "Measurement":
        own = (self._experiment, self._images, self._mesh, self._labels)
        return Measurement(self._flow, params, *own)

    def _temperatures(self) -> Arrays:
        decoded = [
            chunk.decoded.x[:SHOWN]
            for temperature in TEMPERATURES
            for chunk in self._of_noise(temperature, self._experiment.chunk)
        ]
        return {
            "temperatures": np.array(TEMPERATURES),
            "temperature_images": np.stack([np.asarray(x) for x in decoded]),
        }


def _passing(largest: np.ndarray) -> int:
    """How many samples pass `LIMIT`, by their largest activations; NaN does, too."""
    return int(np.sum(~(largest <= LIMIT)))


def _too_many(passing: int, samples: int) -> bool:
    return passing / samples >= FAILING


def _concatenate(rows: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _join_places(chunks: list[tuple[jax.Array, ...]]) -> list[np.ndarray]:
    """All log s of each place, `(examples, height, width, channels)`."""
    return [np.concatenate(place) for place in zip(*chunks)]


def _scale_statistics(log_s: list[list[np.ndarray]]) -> Arrays:
    """Histograms and tails of s by place and row (one row per tau, then the data's).

    Where the inverse has overflowed, s is not a number: it counts as 0, the worst that s can be.
    """
    places = [
        [np.where(np.isnan(row), -np.inf, row).ravel() for row in place] for place in zip(*log_s)
    ]

    def table(measure) -> np.ndarray:
        return np.array([[measure(values) for values in place] for place in places])

    return {
        "log10_s_edges": LOG10_S_EDGES,
        "s_counts": table(_histogram),
        "s_quantiles": table(_quantiles),
        "s_below": table(lambda values: [np.mean(values < np.log(t)) for t in THRESHOLDS]),
        "s_min": table(lambda values: np.exp(values.min())),
        "s_tail": table(lambda values: np.exp(np.quantile(values, TAIL, method="lower"))),
    }


def _growth(largest: np.ndarray) -> np.ndarray:
    """Quantiles over samples of the log of the largest activation, ``(layers, quantiles)``.

    They are values that occurred: between a finite one and an infinite one there is none.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(largest)
    return np.quantile(logs, GROWTH_QUANTILES, axis=1, method="lower").T.astype(np.float32)


def _small_scales(log_s: np.ndarray) -> dict[str, float]:
    """The least s of a place, `(examples, height, width, channels)`, and where they sit."""
    log_s = np.where(np.isnan(log_s), -np.inf, log_s)
    tail = log_s <= np.quantile(log_s, OUTLIERS, method="lower")
    border = np.ones(log_s.shape[1:3], bool)
    border[1:-1, 1:-1] = False
    return {
        "min": float(np.exp(log_s.min())),
        "tail": float(np.exp(np.quantile(log_s, TAIL, method="lower"))),
        # of the outliers: at the border, where zeros are padded; in the channel with most of them
        "border": float(tail[:, border].sum() / tail.sum()),
        "channel": float(tail.sum((0, 1, 2)).max() / tail.sum()),
        "examples": float(tail.any((1, 2, 3)).mean()),
    }


def _quantiles(log_s: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # between -inf and -inf lies -inf, not NaN
        between = np.quantile(log_s, QUANTILES)
    return np.exp(np.where(np.isnan(between), -np.inf, between))


def _histogram(log_s: np.ndarray) -> np.ndarray:
    """Counts of log10 s; what lies outside of the edges counts in the outermost bins."""
    inside = np.clip(log_s / np.log(10.0), LOG10_S_EDGES[0], LOG10_S_EDGES[-1])
    return np.histogram(inside, LOG10_S_EDGES)[0]


def _pictures(decodes: list[Decoded]) -> np.ndarray:
    """The first images under every clip."""
    return np.stack([np.asarray(decoded.x[:SHOWN]) for decoded in decodes])


def _per_clip(measure: Callable[[Decoded], np.ndarray], chunks: list[list[Decoded]]) -> np.ndarray:
    """A number per example, `(clips, examples)`."""
    return np.concatenate([[measure(decoded) for decoded in chunk] for chunk in chunks], axis=1)


def _hit(decoded: Decoded) -> np.ndarray:
    """Per example: was any activation beyond the clip, or not finite."""
    clipped = stack(decoded.layers, "clipped") > 0
    nonfinite = stack(decoded.layers, "nonfinite") > 0
    return np.any(clipped | nonfinite, axis=0)


def _first_over(largest: np.ndarray, clip: float) -> int:
    """The first sub-layer in generation order beyond `clip`, -1 if none; NaN counts as beyond."""
    over = np.flatnonzero(~np.isfinite(largest) | (largest > clip))
    return int(over[0]) if over.size else -1
