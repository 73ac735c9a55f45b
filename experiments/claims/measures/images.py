"""Held-out images: what comes back, and under which clip."""

import numpy as np

from experiments.claims.measures.places import above, after
from experiments.claims.statistics import Count
from experiments.claims.thresholds import BROKEN_IMAGE, CLIP
from flowjax_glow.runs.results import Arrays, Run


def image_hits(run: Run) -> Count | None:
    """Held-out images whose reconstruction hits the clip c = `CLIP`."""
    arrays = after(run.clippings)
    if arrays is None:
        return None
    rows = np.flatnonzero(arrays["clips"] == CLIP)
    return _count(arrays["reconstruction_hit"][rows[0]]) if rows.size else None


def inexact_images(run: Run) -> Count | None:
    """Held-out images that do not come back bit for bit."""
    arrays = after(run.looks)
    return None if arrays is None else _count(~arrays["bit_exact"])


def broken_before(run: Run) -> Count | None:
    """Broken reconstructions before training, at the finite clip with the most."""
    counts = _broken_images(run.clippings.get(0))
    return max(counts, default=None)


def broken_after(run: Run) -> Count | None:
    """Broken reconstructions after training, at the finite clip with the fewest."""
    counts = _broken_images(after(run.clippings))
    return min(counts, default=None)


def broken_before_anywhere(run: Run) -> Count | None:
    """Broken reconstructions before training, at the clip with the most, or without one."""
    arrays = run.clippings.get(0)
    return None if arrays is None else max(_under_clips(arrays["reconstruction_error"]))


def broken_after_anywhere(run: Run) -> Count | None:
    """Broken reconstructions after training, at the clip with the most, or without one."""
    arrays = after(run.clippings)
    return None if arrays is None else max(_under_clips(arrays["reconstruction_error"]))


def lost_after(run: Run) -> Count | None:
    """Broken reconstructions with redrawn permutations, at the clip with the fewest, or none."""
    errors = _redrawn(after(run.clippings))
    return None if errors is None else min(_under_clips(errors))


def lost_after_unclipped(run: Run) -> Count | None:
    """Broken reconstructions with redrawn permutations, without a clip."""
    return _without_clip(after(run.clippings))


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


def broken_share_difference(variant: Run, control: Run) -> float | None:
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
