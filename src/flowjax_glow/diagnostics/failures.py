"""What failed, and the sub-layer that was seen to fail first on its way.

A sub-layer is seen to fail on the way of an image or a sample that did not come back if what it
gives is not finite, if its own round trip is off, if activations grow beyond those of images in it,
or if its inverse stretches far more there than it does at images. All of it is relative to what the
flow does on images, so that a rescaling inside changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowjax_glow.diagnostics.layer_tables import Ways
from flowjax_glow.diagnostics.noise_trips import relative_to
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.thresholds import AT_RISK

#: What failed is looked at where activations, or a stretch, exceed those of images by this factor.
BEYOND = 10.0

#: Activations have grown in a sub-layer if their ratio to those of images grows by this factor in
#: it. Where it takes many with less each, none is at fault.
GROWTH = 3.0


class Examined(NamedTuple):
    """Images or samples and their ways down the inverse.

    Attributes:
        names: "image 3", or "tau = 1, sample 301", which the seed of the report draws again.
        errors: of their round trips.
        failed: which of them did not come back, or hardly.
        ways: what was seen at every sub-layer.
    """

    names: Sequence[str]
    errors: np.ndarray
    failed: np.ndarray
    ways: Ways


@dataclass(frozen=True, eq=False)
class FirstFailures(Result):
    """What failed, the worst first, and the sub-layer that was seen to fail first on its way.

    Attributes:
        example: an image or a sample, by its number.
        error: of its round trip.
        layer: the sub-layer; "none" if none was seen to fail.
        growth: by what the ratio of its activations to those of images grew in that sub-layer.
        round_trip: the error of that sub-layer's own round trip.
        gain: by what its inverse stretches there, at least.
        stretch: that over its largest gain at images that come back.
        by_division, by_scale, by_shift: of a coupling, the terms of its gain.
    """

    title = "What failed, and where first"

    example: np.ndarray
    error: np.ndarray
    layer: np.ndarray
    growth: np.ndarray
    round_trip: np.ndarray
    gain: np.ndarray
    stretch: np.ndarray
    by_division: np.ndarray
    by_scale: np.ndarray
    by_shift: np.ndarray


def first_failures(
    images: Examined, samples: Examined, of_images: Float[np.ndarray, " layers"]
) -> FirstFailures:
    """A row for everything that failed.

    Args:
        of_images: the largest activations of images, see `largest_on_images`.
    """
    sound = known_gains(images.ways.gain)[:, ~images.failed]
    usual = np.where(np.isnan(sound), -np.inf, sound).max(1, initial=-np.inf)
    usual = np.where(usual > 0, usual, np.nan)
    latent = float(images.ways.latent.max())
    rows = []
    for kind in (samples, images):
        seen = _seen(kind.ways, latent, of_images, usual)
        for index in np.flatnonzero(kind.failed).tolist():
            known = np.isfinite(kind.ways.latent[index])  # else it was lost on the way there
            layer = _first(seen, index) if known else None
            row: list[Any] = [kind.names[index], float(kind.errors[index])]
            if layer is None:
                rows.append([*row, "none", *[np.nan] * 7])
                continue
            at = (layer, index)
            found = (seen.growth[at], seen.round_trip[at], kind.ways.gain[at], seen.stretch[at])
            terms = kind.ways.terms[layer, :, index]
            rows.append([*row, str(kind.ways.layer[layer]), *found, *terms])
    rows.sort(key=lambda row: -row[1])
    return FirstFailures(*(np.array(column) for column in zip(*rows, strict=True)))


class _Seen(NamedTuple):
    """``(layers, examples)``."""

    relative: np.ndarray
    growth: np.ndarray
    round_trip: np.ndarray
    stretch: np.ndarray


def _seen(ways: Ways, latent: float, of_images: np.ndarray, usual: np.ndarray) -> _Seen:
    """Activations count from the latents that they start from, and from those of images."""
    start = relative_to(ways.latent[None], np.array([latent]))
    start = np.where(np.isfinite(start), np.maximum(start, 1.0), 1.0)
    relative = relative_to(ways.largest, of_images) / start
    level = np.maximum(relative, 1.0)
    before = np.concatenate([np.ones_like(level[:1]), level[:-1]])
    with np.errstate(invalid="ignore", over="ignore"):
        growth = np.where(np.isinf(before), 1.0, level / before)
        stretch = ways.gain / usual[:, None]
    return _Seen(
        relative, growth, np.where(np.isnan(ways.round_trip), np.inf, ways.round_trip), stretch
    )


def _first(seen: _Seen, example: int) -> int | None:
    """The sub-layer that was seen to fail first on the way of an example."""
    relative, growth, round_trip, stretch = (values[:, example] for values in seen)
    alone = np.isinf(relative) | (round_trip > AT_RISK) | (stretch > BEYOND)
    failing = np.flatnonzero(alone | (relative > BEYOND))
    if not failing.size:
        return None
    first = int(failing[0])
    if alone[first]:
        return first
    largest_step = int(growth[: first + 1].argmax())  # activations came here step by step
    return largest_step if growth[largest_step] >= GROWTH else None


def known_gains(gains: np.ndarray) -> np.ndarray:
    """Gains; where activations were no numbers any more, nothing is known."""
    return np.where(np.isfinite(gains), gains, np.nan)
