"""Intervals at the level `CONFIDENCE`, two-sided, and a rank correlation."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy import special

from experiments.claims.thresholds import CONFIDENCE
from flowjax_glow.diagnostics.rates import limits

Interval: TypeAlias = tuple[float, float]

_EACH_TAIL = (1 - CONFIDENCE) / 2


class Count(NamedTuple):
    """How many of a total."""

    found: int
    total: int


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean; NaN of nothing, and of infinities of both signs."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan


def mean_interval(values: Sequence[float]) -> Interval:
    r"""Student's interval of the mean, :math:`\bar v \pm t_{n-1} \, \mathrm{sd} / \sqrt n`.

    An infinite value makes the spread infinite, hence the interval the whole line, unless all
    values are that same infinity. So does having fewer than two values.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return -math.inf, math.inf
    if not np.isfinite(array).all():
        same = bool((array == array[0]).all())
        return (float(array[0]), float(array[0])) if same else (-math.inf, math.inf)
    quantile = special.stdtrit(array.size - 1, 1 - _EACH_TAIL)
    half = float(quantile * array.std(ddof=1) / math.sqrt(array.size))
    center = float(array.mean())
    return center - half, center + half


def clopper_pearson(count: int, total: int) -> Interval:
    """The exact binomial interval; (0, 1) of nothing."""
    return limits(count, total, _EACH_TAIL)


def rate_interval(counts: Sequence[Count]) -> Interval:
    """The hull of the interval across seeds and that of all seeds pooled.

    Across seeds: Student's over the empirical logits ``log((k + 1/2) / (m - k + 1/2))``, which sees
    that seeds differ. Pooled: `clopper_pearson`, which sees that samples are finite in number.
    """
    logits = [math.log((k + 0.5) / (m - k + 0.5)) for k, m in counts]
    across = [float(special.expit(end)) for end in mean_interval(logits)]
    pooled = clopper_pearson(*pool(counts))
    return min(across[0], pooled[0]), max(across[1], pooled[1])


def pool(counts: Iterable[Count]) -> Count:
    """All samples of all seeds together."""
    listed = list(counts)
    return Count(sum(k for k, _ in listed), sum(m for _, m in listed))


def kendall(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau-a: concordant minus discordant pairs, over all pairs; ties count as neither."""
    signs = [
        np.sign(a2 - a1) * np.sign(b2 - b1)
        for (a1, b1), (a2, b2) in combinations(zip(first, second), 2)
    ]
    return float(mean(signs))
