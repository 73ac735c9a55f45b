"""What images come of a flow under clips, temperatures and other permutations: clipping-*.npz."""

from collections.abc import Callable

import jax
import numpy as np

from flowjax_glow.diagnostics import Decoded, redraw_permutations, stack
from flowjax_glow.runs.experiment import CLIPS, TEMPERATURES
from flowjax_glow.runs.measure import Arrays, Chunk, ChunkedModel

SHOWN = 8  # pictures kept per panel
REDRAWS = 3  # of the permutations, each decoding the same images


def clipping(seen: ChunkedModel) -> Arrays:
    """The arrays of clipping-*.npz."""
    return {
        "clips": np.array(CLIPS),
        **_clip_zero(seen),
        **_clip_samples(seen),
        **_clip_images(seen),
        **_temperatures(seen),
        **_redrawn(seen),
    }


def _under_clips(seen: ChunkedModel, chunk: Chunk) -> list[Decoded]:
    """One decode per clip of CLIPS; a clip that no activation reaches changes nothing."""
    reach = stack(chunk.decoded.layers, "largest").max()
    return [
        chunk.decoded if reach <= clip else seen.decode(chunk.params, chunk.z, clip)
        for clip in CLIPS
    ]


def _clip_zero(seen: ChunkedModel) -> Arrays:
    (chunk,) = seen.of_noise(0.0, seen.experiment.chunk)
    decodes = _under_clips(seen, chunk)
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


def _clip_samples(seen: ChunkedModel) -> Arrays:
    free = seen.of_noise(1.0, seen.experiment.clip_samples)
    chunks = [_under_clips(seen, chunk) for chunk in free]
    largest = [stack(chunk[-1].layers, "largest").max(1) for chunk in chunks]
    return {
        "sample_images": _pictures(chunks[0]),
        "sample_hit": _per_clip(_hit, chunks),
        "sample_max": np.max(largest, axis=0),
    }


def _clip_images(seen: ChunkedModel) -> Arrays:
    free = list(seen.of_images(seen.experiment.clip_samples))
    chunks = [_under_clips(seen, chunk) for chunk in free]
    errors = [
        [np.asarray(seen.image_round_trip(x, decoded.x).relative) for decoded in chunk]
        for (_, x, *_), chunk in zip(free, chunks)
    ]
    return {
        "originals": np.asarray(free[0].x[:SHOWN]),
        "reconstructions": _pictures(chunks[0]),
        "reconstruction_error": np.concatenate(errors, axis=1),
        "reconstruction_hit": _per_clip(_hit, chunks),
    }


def _redrawn(seen: ChunkedModel) -> Arrays:
    """The reconstructions with every permutation drawn anew; nothing of a flow without any."""
    keys = jax.random.split(jax.random.fold_in(seen.key, 2**31), REDRAWS)
    draws = [redraw_permutations(seen.flow, seen.trained, key) for key in keys]
    if jax.tree.all(jax.tree.map(np.array_equal, draws[0], seen.trained)):
        return {}
    others = [seen.with_params(params) for params in draws]
    clipped = [_clip_images(other) for other in others]
    latents = [
        [
            np.abs(leaf).max()
            for chunk in other.of_images(seen.experiment.clip_samples)
            for leaf in chunk.z
        ]
        for other in others
    ]
    return {
        "redrawn_reconstructions": clipped[0]["reconstructions"],
        "redrawn_error": np.stack([each["reconstruction_error"] for each in clipped]),
        "redrawn_latent": np.max(latents, axis=1),
    }


def _temperatures(seen: ChunkedModel) -> Arrays:
    decoded = [
        chunk.decoded.x[:SHOWN]
        for temperature in TEMPERATURES
        for chunk in seen.of_noise(temperature, seen.experiment.chunk)
    ]
    return {
        "temperatures": np.array(TEMPERATURES),
        "temperature_images": np.stack([np.asarray(x) for x in decoded]),
    }


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
