"""Held-out images: what comes back, and under which clip."""

import numpy as np

from experiments.claims.measures.places import above, after
from experiments.claims.statistics import Count
from experiments.claims.thresholds import BROKEN_IMAGE, CLIP
from experiments.results import Arrays, Run


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
    errors = arrays["reconstruction_error"][np.isfinite(arrays["clips"])]
    return [above(row, BROKEN_IMAGE) for row in errors]


def _count(flags: np.ndarray) -> Count:
    return Count(int(flags.sum()), flags.size)
