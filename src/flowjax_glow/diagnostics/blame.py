"""Which sub-layer is to blame: what was seen to fail first, on the way of what failed.

A sub-layer is seen to fail on the way of an image or a sample that did not come back if what it
gives is not finite, if its own round trip is off, if activations grow beyond those of images in it,
or if its inverse stretches far more there than it does at images. All of it is relative to what the
flow does on images, so that a rescaling inside changes nothing. If none was seen to fail there is
no cause to name: a map may be too steep without a layer that is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from flowjax_glow.diagnostics.layers import Ways
from flowjax_glow.diagnostics.log_dets import LogDetChecks
from flowjax_glow.diagnostics.moments import DataMoments
from flowjax_glow.diagnostics.noise import relative_to
from flowjax_glow.diagnostics.table import Result, short
from flowjax_glow.diagnostics.thresholds import LOST, MOMENTS, THRESHOLDS

#: What failed is looked at where activations, or a stretch, exceed those of images by this factor.
BEYOND = 10.0

#: Activations have grown in a sub-layer if their ratio to those of images grows by this factor in
#: it. Where it takes many with less each, none is at fault.
GROWTH = 3.0

#: The name of the table of `FirstFailures` in a report.
FIRST_FAILURES = "first failures"

Suspect = tuple[str | None, str]


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
    sound = _known(images.ways.gain)[:, ~images.failed]
    usual = np.where(np.isnan(sound), -np.inf, sound).max(1, initial=-np.inf)
    usual = np.where(usual > 0, usual, np.nan)
    latent = float(images.ways.latent.max())
    rows = []
    for kind in (samples, images):
        seen = _seen(kind.ways, latent, of_images, usual)
        for index in np.flatnonzero(kind.failed).tolist():
            layer = _first(seen, index)
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
    alone = np.isinf(relative) | (round_trip > LOST / 10) | (stretch > BEYOND)
    failing = np.flatnonzero(alone | (relative > BEYOND))
    if not failing.size:
        return None
    first = int(failing[0])
    if alone[first]:
        return first
    largest_step = int(growth[: first + 1].argmax())  # activations came here step by step
    return largest_step if growth[largest_step] >= GROWTH else None


def suspects(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """Sub-layers to blame, the plainest evidence first, each with a reason.

    The last is no sub-layer but "no cause found".
    """
    of_images = tables["layers, images"]
    for name, finite in zip(of_images.layer, of_images.finite_params, strict=True):
        if not finite:
            yield str(name), "it holds parameters that are not finite"
    yield from _wrong_log_dets(of_images.layer, of_images.log_det_error, "both directions")
    if "log-dets" in tables:
        exact: LogDetChecks = tables["log-dets"]
        yield from _wrong_log_dets(exact.layer, exact.error, "its Jacobian")
    failed: FirstFailures | None = tables.get(FIRST_FAILURES)
    if failed is not None:
        yield from _seen_to_fail(tables, failed)
    yield None, _no_cause(tables, failed)


def _seen_to_fail(tables: Mapping[str, Any], failed: FirstFailures) -> Iterator[Suspect]:
    """The sub-layers where most of what failed was first seen to fail, the worst before equals."""
    layers = [str(layer) for layer in failed.layer]
    for layer, count in Counter(layers).most_common():
        if layer == "none":
            continue
        row = layers.index(layer)  # the worst of them
        evidence = "; ".join(_evidence(failed, row))
        yield (
            layer,
            f"seen to fail first on the way of {count} of {len(layers)} that failed; of the worst, "
            f"{failed.example[row]}, {evidence}{_overflows(tables)}",
        )


def _evidence(failed: FirstFailures, row: int) -> Iterator[str]:
    growth, error, gain, stretch = (
        float(values[row])
        for values in (failed.growth, failed.round_trip, failed.gain, failed.stretch)
    )
    if np.isinf(growth):
        yield "what its inverse gives is not finite"
    elif growth >= GROWTH:
        yield f"activations grow beyond those of images by {short(growth)} in it"
    if LOST / 10 < error < np.inf:
        yield f"its own round trip is off by {short(error)}"
    if np.isfinite(gain):
        times = f", {short(stretch)} times as much as at images" if np.isfinite(stretch) else ""
        yield f"its inverse stretches by at least {short(gain)}{times}{_terms(failed, row)}"


def _terms(failed: FirstFailures, row: int) -> str:
    """What makes up the gain of a coupling."""
    terms = [
        float(values[row]) for values in (failed.by_division, failed.by_scale, failed.by_shift)
    ]
    if not np.isfinite(terms).all():
        return ""
    division, scale, shift = map(short, terms)
    return f" (1 / s by {division}, its net by {scale} in s, {shift} in shift)"


def _no_cause(tables: Mapping[str, Any], failed: FirstFailures | None) -> str:
    gains = np.fmax(_known(tables["layers, images"].gain), _known(tables["layers, samples"].gain))
    chain = float(np.log(np.fmax(gains, 1.0)).sum())
    where = "" if failed is None else f" on the way of the {len(failed.layer)} that failed"
    return (
        f"no cause found: no sub-layer was seen to fail{where}; all in a row, each at its worst, "
        f"stretch by at least e^{chain:.0f}{_overflows(tables)}"
    )


def _overflows(tables: Mapping[str, Any]) -> str:
    """From where on the activations of some are not finite."""
    said = ""
    for name in ("images", "samples"):
        activations = tables[f"activations, {name}"]
        lost = activations.layer[activations.not_finite > 0]
        if lost.size:
            said += f"; some {name} are not finite from {lost[0]} on"
    return said


def lost_state(tables: Mapping[str, Any]) -> Iterator[Suspect]:
    """Where images leave what the flow was trained on, if their latents are far from normal."""
    moments: DataMoments = tables["moments"]
    if THRESHOLDS[MOMENTS].grade(moments.latents_off) != "trustworthy":
        yield (
            moments.first_off,
            f"from here on images are off what the flow was trained on, up to latents whose mean "
            f"square is off 1 by a factor of {short(moments.latents_off)}; these are other images, "
            "or state was lost: look for what was not saved (indices of permutations, a flag that "
            "says whether actnorms have started)",
        )


def _wrong_log_dets(layers: np.ndarray, errors: np.ndarray, against: str) -> Iterator[Suspect]:
    """Where a log-det is off although it is a number: no rounding does that."""
    limit = THRESHOLDS["log-det of a layer off its Jacobian's, nats/dim"].broken
    wrong = np.where(np.isfinite(errors), errors, 0.0)
    for index in np.argsort(-wrong, kind="stable"):
        if wrong[index] > limit:
            yield (
                str(layers[index]),
                f"its log-det disagrees with {against} by {short(float(wrong[index]))} nats/dim",
            )


def _known(gains: np.ndarray) -> np.ndarray:
    """Gains; where activations were no numbers any more, nothing is known."""
    return np.where(np.isfinite(gains), gains, np.nan)
