"""Rates of failure: how many of how many samples, and what that says of all of them.

A count of a limited number of samples bounds the rate by Clopper and Pearson's exact limits, each
one-sided at `CONFIDENCE`: of no failure among n the rate is below ``1 - 0.05^(1 / n)``. A grade is
a decision on a rate. Where neither side is sure yet it is `not enough samples`, so more samples
lead from there to a decision, and hardly ever from one decision to another.
"""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.thresholds import Verdict
from flowjax_glow.errors import expected

#: The confidence of every bound, one-sided.
CONFIDENCE = 0.95

#: `trustworthy` promises that a smaller share of all samples is lost.
LOST_BELOW = 0.01

Decision = Literal["below", "above", "open"]


@dataclass(frozen=True)
class Share:
    """`count` of `of`, and the bounds of the rate behind it; of nothing, nothing is known."""

    count: int
    of: int

    @property
    def below(self) -> float:
        """The upper bound of the rate: a larger one gives so few in one of twenty cases at most."""
        return limits(self.count, self.of, 1 - CONFIDENCE)[1]

    @property
    def above(self) -> float:
        """The lower bound of the rate."""
        return limits(self.count, self.of, 1 - CONFIDENCE)[0]

    def against(self, rate: float) -> Decision:
        """Whether the rate is surely below or above `rate`."""
        if self.below < rate:
            return "below"
        return "above" if self.above > rate else "open"

    def told(self, what: str, rate: float | None = None) -> str:
        """``0 of 512 samples lost: below 0.58 % at 95 %``; `rate` decides which bounds matter."""
        share = f" ({percent(self.count / self.of)})" if self.count else ""
        decision = "below" if rate is None else self.against(rate)
        bounds = {
            "below": f"below {percent(self.below)}",
            "above": f"above {percent(self.above)}",
            "open": f"between {percent(self.above)} and {percent(self.below)}, each"
            if self.count
            else f"below {percent(self.below)}",
        }[decision]
        return f"{self.count} of {self.of} {what}{share}: {bounds} at {percent(CONFIDENCE)}"


def limits(count: int, total: int, tail: float) -> tuple[float, float]:
    """Clopper and Pearson's exact limits of a rate, each wrong in a share `tail` of cases at most.

    The lower one makes `count` or more of `total` just that likely, the upper one `count` or fewer;
    of nothing they are 0 and 1.
    """
    lower = _rate_of(count - 1, total, 1 - tail) if count else 0.0
    return lower, 1.0 if count == total else _rate_of(count, total, tail)


@functools.cache
def _rate_of(count: int, of: int, probability: float) -> float:
    """The rate at which no more than `count` of `of` fail with this probability, by bisection."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if _at_most(count, of, middle) < probability:
            high = middle
        else:
            low = middle
    return middle


def _at_most(count: int, of: int, rate: float) -> float:
    """``P(X <= count)`` of a binomial X; a term is the one before times a ratio."""
    k = np.arange(1, count + 1)
    ratios = np.log((of - k + 1) / k) + math.log(rate) - math.log1p(-rate)
    logs = of * math.log1p(-rate) + np.concatenate([[0.0], np.cumsum(ratios)])
    return float(np.exp(logs).sum())


def enough(lost_below: float, lost: int = 0) -> int:
    """The fewest samples that show a rate below `lost_below` if no more than `lost` are lost.

    299 samples without a loss show 1 %; with one loss it takes 473.

    Raises:
        ValueError: if `lost_below` is not between 0 and 1.
    """
    if not 0 < lost_below < 1:
        raise expected(
            "lost_below", "a share between 0 and 1", got=lost_below, advice="write 0.01 for 1 %"
        )
    few, many = lost, math.ceil((lost + 5) / lost_below) ** 2
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if Share(lost, middle).below < lost_below else (middle, many)
    return many


def drawn_for(lost_below: float, chunk: int) -> int:
    """Samples to draw by default: enough for one loss, in whole chunks; 512 for 1 % and 64."""
    return -(-enough(lost_below, 1) // chunk) * chunk


@dataclass(frozen=True, eq=False)
class Rates(Result):
    """How many samples failed, a row per noise level; z = 0 is one point and has none.

    Attributes:
        tau: the noise level.
        samples: how many were drawn.
        lost: how many did not come back.
        lost_below: the upper bound of that rate.
        at_risk: how many are lost, or nearly so, or went through activations that are far beyond
            those of images at the same sub-layer.
        at_risk_below: the upper bound of that rate.
        out_of_range: how many gave an image with a value far outside of the colors.
        relative: the largest activation over that of images at the same sub-layer.
    """

    title = "Samples that failed"

    tau: np.ndarray
    samples: np.ndarray
    lost: np.ndarray
    lost_below: np.ndarray
    at_risk: np.ndarray
    at_risk_below: np.ndarray
    out_of_range: np.ndarray
    relative: np.ndarray

    def verdict(self, lost_below: float) -> Verdict:
        """`broken` if the share lost surely exceeds `lost_below` at any level.

        `trustworthy` if the shares lost and at risk are surely below it at every level. At risk
        is said of samples only if it is sure that not too many are lost, so that more samples
        cannot turn it into broken.
        """
        lost = [share.against(lost_below) for share in self._shares(self.lost)]
        if "above" in lost:
            return "broken"
        at_risk = [share.against(lost_below) for share in self._shares(self.at_risk)]
        if not lost or "open" in lost:
            return "not enough samples"
        if "above" in at_risk:
            return "at risk"
        return "not enough samples" if "open" in at_risk else "trustworthy"

    def told(self, lost_below: float) -> str:
        """The share lost at the level where most are, the count and the bound."""
        if not len(self.tau):
            return "no samples were drawn but z = 0"
        lost, at_risk = (self._at_worst(counts) for counts in (self.lost, self.at_risk))
        (share, tau), (risky, risky_tau) = lost, at_risk
        said = share.told(f"samples lost at tau = {tau:g}", lost_below)
        if "above" not in (decision := share.against(lost_below)) and risky.count > share.count:
            said += f"; {risky.told(f'at risk at tau = {risky_tau:g}', lost_below)}"
        undecided = "open" in (decision, risky.against(lost_below))
        if decision != "above" and undecided:
            more = max(enough(lost_below, 1), 4 * share.of if risky.count else 0)
            said += f"; below {percent(lost_below)} was asked for, draw {more} or more"
        return said

    def _shares(self, counts: np.ndarray) -> list[Share]:
        return [Share(int(k), int(n)) for k, n in zip(counts, self.samples, strict=True)]

    def _at_worst(self, counts: np.ndarray) -> tuple[Share, float]:
        """At the noisiest of the levels that have the largest share."""
        row = max(range(len(self.tau)), key=lambda i: (counts[i] / self.samples[i], self.tau[i]))
        return self._shares(counts)[row], float(self.tau[row])


def percent(fraction: float) -> str:
    """``0.58 %``: two digits, three above a tenth."""
    return f"{100 * fraction:.{2 if fraction < 0.1 else 3}g} %"
