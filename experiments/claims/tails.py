"""The small scales of the first step after a split, in the order of generation."""

import math

import numpy as np

from experiments.claims.measures import at_temperature, look_after
from experiments.claims.statistics import kendall
from experiments.claims.thresholds import LOW_TAU, SMALLEST_S
from flowjax_glow.runs.results import Run

_QUANTILE_1E3, _BELOW_1E2 = 1, 0  # columns of s_quantiles and s_below
_COARSEST = -1  # places run from the finest level to the coarsest


def tail_growth(run: Run, low: float = LOW_TAU) -> float | None:
    """log10 of the 1e-3 quantile of s at tau = 1, minus that at `low`."""
    at_one, at_low = _log_tail(run, 1.0), _log_tail(run, low)
    return None if at_one is None or at_low is None else at_one - at_low


def tail_growth_to_zero(run: Run) -> float | None:
    """`tail_growth` down to tau = 0, where all samples are the same."""
    return tail_growth(run, 0.0)


def tail_trend(run: Run) -> float | None:
    """Kendall's tau between the noise level and the 1e-3 quantile of s."""
    arrays = look_after(run)
    if arrays is None or not len(arrays["s_quantiles"]):
        return None
    # ranks need no smallest s, which would only make ties
    tails = np.nan_to_num(arrays["s_quantiles"][_COARSEST, :-1, _QUANTILE_1E3], nan=0.0)
    return kendall(arrays["taus"].tolist(), tails.tolist())


def near_zero_at_one(run: Run) -> float | None:
    """P(s < 1e-2) at tau = 1."""
    return _near_zero(run, 1.0)


def near_zero_at_low(run: Run) -> float | None:
    """P(s < 1e-2) at tau = `LOW_TAU`."""
    return _near_zero(run, LOW_TAU)


def own_tail_growth(run: Run) -> float | None:
    """log10 of the 1e-5 quantile of s at tau = 1 minus that with one split's own noise reduced.

    Of the split where it falls most.
    """
    return _own_growth(run, "own_tail")


def own_minimum_growth(run: Run) -> float | None:
    """`own_tail_growth` of the smallest s."""
    return _own_growth(run, "own_min")


def outliers_at_border(run: Run) -> float | None:
    """Of the smallest 1e-4 of s under reduced noise, the share at the border; coarsest split."""
    return _outliers(run, "own_border")


def outliers_in_one_channel(run: Run) -> float | None:
    """Of the smallest 1e-4 of s under reduced noise, the share in one channel; coarsest split."""
    return _outliers(run, "own_channel")


def _own_growth(run: Run, name: str) -> float | None:
    arrays = look_after(run)
    if arrays is None or not len(arrays.get(name, ())):
        return None
    return max(_log_s(float(at_one)) - _log_s(float(low)) for at_one, low in arrays[name])


def _outliers(run: Run, name: str) -> float | None:
    arrays = look_after(run)
    if arrays is None or not len(arrays.get(name, ())):
        return None
    return float(arrays[name][_COARSEST, 1])


def _near_zero(run: Run, tau: float) -> float | None:
    arrays, row = at_temperature(run, tau)
    if arrays is None or not len(arrays["s_below"]):
        return None
    return float(arrays["s_below"][_COARSEST, row, _BELOW_1E2])


def _log_tail(run: Run, tau: float) -> float | None:
    arrays, row = at_temperature(run, tau)
    if arrays is None or not len(arrays["s_quantiles"]):
        return None
    return _log_s(float(arrays["s_quantiles"][_COARSEST, row, _QUANTILE_1E3]))


def _log_s(s: float) -> float:
    """NaN, the quantile of scales that all overflowed, counts as the smallest."""
    return math.log10(s if s > SMALLEST_S else SMALLEST_S)
