"""How the scales s of a flow lie: their tails, histograms and places, as arrays."""

import numpy as np

from flowjax_glow.diagnostics.layer_tables import SCALE_QUANTILES
from flowjax_glow.runs.measure import Arrays

# Fine enough for a bound that knows the depth: log10 s within 0.05 of 0 at depth 32.
LOG10_S_EDGES = np.linspace(-8.0, 1.0, 901)
THRESHOLDS = (1e-2, 1e-3)
TAIL = 1e-5  # quantile of s that stands for its outliers
OUTLIERS = 1e-4  # share of s whose places are told; at 1e-5 there are a handful


def scale_statistics(log_s: list[list[np.ndarray]]) -> Arrays:
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


def small_scales(log_s: np.ndarray) -> dict[str, float]:
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
        between = np.quantile(log_s, SCALE_QUANTILES)
    return np.exp(np.where(np.isnan(between), -np.inf, between))


def _histogram(log_s: np.ndarray) -> np.ndarray:
    """Counts of log10 s; what lies outside of the edges counts in the outermost bins."""
    inside = np.clip(log_s / np.log(10.0), LOG10_S_EDGES[0], LOG10_S_EDGES[-1])
    return np.histogram(inside, LOG10_S_EDGES)[0]
