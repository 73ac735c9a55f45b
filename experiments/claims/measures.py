"""What is measured of one run: a number or a count, None where the run does not tell."""

import math
from itertools import combinations
from typing import Literal

import numpy as np

from experiments.claims.statistics import Count, mean
from experiments.claims.thresholds import (
    ACTIVATION_CAP,
    BROKEN_IMAGE,
    BROKEN_ROUND_TRIP,
    CLIP,
    VISIBLE,
)
from flowjax_glow.runs.results import Arrays, Run

#: log10 of an activation that is capped; activations below 1 do not interest.
LOG10_ACTIVATIONS = (-math.inf, math.log10(ACTIVATION_CAP))


def look_after(run: Run) -> Arrays | None:
    """The last look; None if there is none but that before training."""
    return run.last_look() if max(run.looks, default=0) > 0 else None


def clipping_after(run: Run) -> Arrays | None:
    """The last clipping; None if there is none but that before training."""
    return run.last_clipping() if max(run.clippings, default=0) > 0 else None


def at_temperature(run: Run, temperature: float) -> tuple[Arrays, int] | tuple[None, None]:
    """The last look and its row of this noise level."""
    arrays = look_after(run)
    if arrays is None or not np.isclose(arrays["taus"], temperature).any():
        return None, None
    return arrays, run.row_at(temperature)


def above(values: np.ndarray, limit: float) -> Count:
    """Samples (the last axis) above `limit` anywhere along the other; NaN counts as above."""
    samples = ~(np.atleast_2d(values) <= limit)
    hit = samples.any(axis=0)
    return Count(int(hit.sum()), hit.size)


def image_hits(run: Run) -> Count | None:
    """Held-out images whose reconstruction hits the clip c = `CLIP`."""
    arrays = clipping_after(run)
    if arrays is None:
        return None
    rows = np.flatnonzero(arrays["clips"] == CLIP)
    return _count(arrays["reconstruction_hit"][rows[0]]) if rows.size else None


def inexact_images(run: Run) -> Count | None:
    """Held-out images that do not come back bit for bit."""
    arrays = look_after(run)
    return None if arrays is None else _count(~arrays["bit_exact"])


def broken_before(run: Run) -> Count | None:
    """Broken reconstructions before training, at the finite clip with the most."""
    counts = _broken_images(run.clippings.get(0))
    return max(counts, default=None)


def broken_after(run: Run) -> Count | None:
    """Broken reconstructions after training, at the finite clip with the fewest."""
    counts = _broken_images(clipping_after(run))
    return min(counts, default=None)


def broken_before_anywhere(run: Run) -> Count | None:
    """Broken reconstructions before training, at the clip with the most, or without one."""
    arrays = run.clippings.get(0)
    return None if arrays is None else max(_under_clips(arrays["reconstruction_error"]))


def broken_after_anywhere(run: Run) -> Count | None:
    """Broken reconstructions after training, at the clip with the most, or without one."""
    arrays = clipping_after(run)
    return None if arrays is None else max(_under_clips(arrays["reconstruction_error"]))


def lost_after(run: Run) -> Count | None:
    """Broken reconstructions with redrawn permutations, at the clip with the fewest, or none."""
    errors = _redrawn(clipping_after(run))
    return None if errors is None else min(_under_clips(errors))


def lost_after_unclipped(run: Run) -> Count | None:
    """Broken reconstructions with redrawn permutations, without a clip."""
    return _without_clip(clipping_after(run))


def lost_before_unclipped(run: Run) -> Count | None:
    """Broken reconstructions before training with redrawn permutations, without a clip."""
    return _without_clip(run.clippings.get(0))


def _redrawn(arrays: Arrays | None) -> np.ndarray | None:
    """Errors of every image and draw under every clip: ``(clips, draws * images)``."""
    if arrays is None or "redrawn_error" not in arrays:
        return None
    errors = arrays["redrawn_error"]
    return errors.swapaxes(0, 1).reshape(errors.shape[1], -1)


def _without_clip(arrays: Arrays | None) -> Count | None:
    errors = _redrawn(arrays)
    if arrays is None or errors is None:
        return None
    (row,) = np.flatnonzero(np.isinf(arrays["clips"]))
    return above(errors[row], BROKEN_IMAGE)


def _under_clips(errors: np.ndarray) -> list[Count]:
    return [above(row, BROKEN_IMAGE) for row in errors]


def broken_images_difference(variant: Run, control: Run) -> float | None:
    """Share of `broken_after` of the variant minus that of the control."""
    ours, theirs = broken_after(variant), broken_after(control)
    if ours is None or theirs is None:
        return None
    return ours.found / ours.total - theirs.found / theirs.total


def _broken_images(arrays: Arrays | None) -> list[Count]:
    """One count per finite clip."""
    if arrays is None:
        return []
    return _under_clips(arrays["reconstruction_error"][np.isfinite(arrays["clips"])])


def _count(flags: np.ndarray) -> Count:
    return Count(int(flags.sum()), flags.size)


def late_loss_difference(variant: Run, control: Run) -> float | None:
    """Mean difference of the window losses over the last third of the common windows."""
    return _loss_difference(variant, control, "late")


def run_loss_difference(variant: Run, control: Run) -> float | None:
    """Mean difference of the window losses over all common windows but the first."""
    return _loss_difference(variant, control, "run")


def held_out_difference(variant: Run, control: Run) -> float | None:
    """Difference of the held-out bits/dim of the raw weights."""
    ours, theirs = ((run.summary or {}).get("bits_per_dim") for run in (variant, control))
    return None if ours is None or theirs is None else _known(ours - theirs)


def _loss_difference(variant: Run, control: Run, part: Literal["late", "run"]) -> float | None:
    diverged = [math.inf if run.status == "diverged" else 0.0 for run in (variant, control)]
    if any(diverged):
        return _known(diverged[0] - diverged[1])
    ours, theirs = _window_losses(variant), _window_losses(control)
    steps = sorted(ours.keys() & theirs.keys())
    chosen = steps[-max(1, len(steps) // 3) :] if part == "late" else steps[1:]
    return _known(mean(ours[step] - theirs[step] for step in chosen))


def _window_losses(run: Run) -> dict[int, float]:
    losses = run.window_losses().items()
    return {step: math.inf if math.isnan(loss) else loss for step, loss in losses}


def _known(value: float) -> float | None:
    """None for NaN, the difference of two infinities or the mean of nothing."""
    return None if math.isnan(value) else float(value)


_BLACK, _WHITE = -0.5, 0.5


def zero_activation(run: Run) -> float | None:
    """log10 of the largest activation of decoding z = 0 without a clip, capped."""
    arrays = clipping_after(run)
    return None if arrays is None else math.log10(_capped(arrays["zero_max"]))


def clip_dependence(run: Run) -> float | None:
    """Largest mean absolute difference of two decodes of z = 0 under finite clips."""
    arrays = clipping_after(run)
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
    arrays, row = at_temperature(run, 1.0)
    return None if arrays is None else above(arrays["max_activation"][row], CLIP)


def broken_samples(run: Run) -> Count | None:
    """Samples at tau = 1 whose latents do not come back."""
    arrays, row = at_temperature(run, 1.0)
    return None if arrays is None else above(arrays["z_error"][row], BROKEN_ROUND_TRIP)


def broken_samples_difference(variant: Run, other: Run) -> float | None:
    """Share of `broken_samples` of the variant minus that of the other run."""
    ours, theirs = broken_samples(variant), broken_samples(other)
    if ours is None or theirs is None:
        return None
    return ours.found / ours.total - theirs.found / theirs.total


def sample_hits_at_any_tau(run: Run) -> Count | None:
    """Samples with an activation above `CLIP` at any noise level."""
    arrays = look_after(run)
    return None if arrays is None else above(arrays["max_activation"], CLIP)


def broken_samples_at_any_tau(run: Run) -> Count | None:
    """Samples whose latents do not come back at some noise level."""
    arrays = look_after(run)
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
