"""The trend of a noisy series."""

from collections.abc import Sequence

import numpy as np


def median_slope(steps: Sequence[float], values: Sequence[float]) -> float:
    """Theil and Sen's slope: the median of the slopes between any two points.

    Pairs of the same infinity have no slope and are left out; NaN if nothing is left.
    """
    x, y = np.asarray(steps, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(x), 1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        slopes = (y[second] - y[first]) / (x[second] - x[first])
    known = slopes[~np.isnan(slopes)]
    return float(np.median(known)) if known.size else float("nan")
