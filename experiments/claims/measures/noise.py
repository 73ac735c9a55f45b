"""The inverse from noise: activations and round trips."""

import math
from itertools import combinations

import numpy as np

from experiments.claims.measures.places import above, after, at_tau
from experiments.claims.statistics import Count
from experiments.claims.thresholds import ACTIVATION_CAP, BROKEN_ROUND_TRIP, CLIP, VISIBLE
from flowjax_glow.runs.results import Run

#: log10 of an activation that is capped; activations below 1 do not interest.
LOG10_ACTIVATIONS = (-math.inf, math.log10(ACTIVATION_CAP))

_BLACK, _WHITE = -0.5, 0.5


def zero_activation(run: Run) -> float | None:
    """log10 of the largest activation of decoding z = 0 without a clip, capped."""
    arrays = after(run.clippings)
    return None if arrays is None else math.log10(_capped(arrays["zero_max"]))


def clip_dependence(run: Run) -> float | None:
    """Largest mean absolute difference of two decodes of z = 0 under finite clips."""
    arrays = after(run.clippings)
    if arrays is None:
        return None
    images = arrays["zero_images"][np.isfinite(arrays["clips"])]
    return max((_difference(a, b) for a, b in combinations(images, 2)), default=None)


def zero_breaks(run: Run) -> bool | None:
    """Whether z = 0 passes `CLIP` on its way, and the image depends visibly on the clip."""
    activation, dependence = zero_activation(run), clip_dependence(run)
    if activation is None or dependence is None:
        return None
    return activation > math.log10(CLIP) and dependence > VISIBLE


def sample_hits(run: Run) -> Count | None:
    """Samples at tau = 1 with an activation above `CLIP`."""
    arrays, row = at_tau(run, 1.0)
    return None if arrays is None else above(arrays["max_activation"][row], CLIP)


def broken_samples(run: Run) -> Count | None:
    """Samples at tau = 1 whose latents do not come back."""
    arrays, row = at_tau(run, 1.0)
    return None if arrays is None else above(arrays["z_error"][row], BROKEN_ROUND_TRIP)


def broken_share_difference(variant: Run, other: Run) -> float | None:
    """Share of `broken_samples` of the variant minus that of the other run."""
    ours, theirs = broken_samples(variant), broken_samples(other)
    if ours is None or theirs is None:
        return None
    return ours.found / ours.total - theirs.found / theirs.total


def sample_hits_at_any_tau(run: Run) -> Count | None:
    """Samples with an activation above `CLIP` at any noise level."""
    arrays = after(run.looks)
    return None if arrays is None else above(arrays["max_activation"], CLIP)


def broken_samples_at_any_tau(run: Run) -> Count | None:
    """Samples whose latents do not come back at some noise level."""
    arrays = after(run.looks)
    return None if arrays is None else above(arrays["z_error"], BROKEN_ROUND_TRIP)


def _capped(activations: np.ndarray) -> float:
    finite = np.nan_to_num(
        activations, nan=ACTIVATION_CAP, posinf=ACTIVATION_CAP, neginf=ACTIVATION_CAP
    )
    # an all-zero decode has no logarithm; the smallest normal number is as good as zero here
    return float(np.clip(finite.max(), np.finfo(np.float32).tiny, ACTIVATION_CAP))


def _difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference as displayed; finite in one only is 1, in neither is 0."""
    gap = np.abs(np.clip(first, _BLACK, _WHITE) - np.clip(second, _BLACK, _WHITE))
    one, other = np.isfinite(first), np.isfinite(second)
    return float(np.where(one & other, gap, (one != other).astype(gap.dtype)).mean())
