"""One part of a claim: a quantity per seed, its interval, and whether it does what is asked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from experiments.claims.statistics import (
    Count,
    Interval,
    clopper_pearson,
    mean,
    mean_interval,
    pool,
    rate_interval,
)
from experiments.claims.thresholds import CONFIRMED_BY, FEWEST_SEEDS, RARE_RATE

#: None: reported beside the claim and not judged.
Outcome: TypeAlias = Literal["holds", "fails", "undecided"] | None

WHOLE_LINE: Interval = (-math.inf, math.inf)


class Ask(Protocol):
    """What a claim asks of an interval."""

    @property
    def threshold(self) -> float: ...

    def judge(self, interval: Interval) -> Outcome: ...


@dataclass(frozen=True)
class Above:
    """The interval must lie above the threshold; it fails where it lies below."""

    threshold: float

    def judge(self, interval: Interval) -> Outcome:
        return _outcome(interval[0] > self.threshold, interval[1] < self.threshold)

    def __str__(self) -> str:
        return f"above {self.threshold:.4g}"


@dataclass(frozen=True)
class Below:
    """The interval must lie below the threshold; it fails where it lies above."""

    threshold: float

    def judge(self, interval: Interval) -> Outcome:
        return _outcome(interval[1] < self.threshold, interval[0] > self.threshold)

    def __str__(self) -> str:
        return f"below {self.threshold:.4g}"


@dataclass(frozen=True)
class Within:
    """The interval must lie within plus and minus the threshold; it fails where it lies outside."""

    threshold: float

    def judge(self, interval: Interval) -> Outcome:
        lower, upper = interval
        inside = -self.threshold < lower and upper < self.threshold
        return _outcome(inside, lower > self.threshold or upper < -self.threshold)

    def __str__(self) -> str:
        return f"within +-{self.threshold:.4g}"


@dataclass(frozen=True)
class Part:
    """A judged part of a claim, or a quantity reported beside it.

    Attributes:
        name: of the quantity.
        outcome: None if it is not judged.
        said: the quantity and what was asked of it, as words.
        measurement: the numbers, for claims.json.
    """

    name: str
    outcome: Outcome
    said: str
    measurement: Mapping[str, Any] = field(default_factory=dict)


def of_mean(
    name: str,
    values: Mapping[int, float],
    ask: Ask | None = None,
    *,
    limits: Interval = WHOLE_LINE,
    unit: str = "",
) -> Part:
    """A quantity per seed whose mean is asked about; `limits` is the range it can have."""
    lower, upper = mean_interval(list(values.values()))
    interval = max(lower, limits[0]), min(upper, limits[1])
    center = mean(values.values())
    said = f"{name} {_range(center, interval)}{unit and ' '}{unit}"
    return _part(name, said, values, center, interval, ask)


def of_rate(name: str, counts: Mapping[int, Count], ask: Ask | None = None) -> Part:
    """A share of samples that is asked about."""
    interval = rate_interval(list(counts.values()))
    shares = {seed: _share(count) for seed, count in counts.items()}
    center = mean(shares.values())
    said = f"{name} {_range(center, interval)}"
    return _part(name, said, shares, center, interval, ask, counts=_plain(counts))


def of_none(name: str, counts: Mapping[int, Count]) -> Part:
    """Counts that must all be zero, of enough samples that the rate must be rare.

    One counterexample refutes "none", so only the absence of one needs an interval.
    """
    found, total = pool(counts.values())
    interval = clopper_pearson(found, total)
    shares = {seed: _share(count) for seed, count in counts.items()}
    said = f"{name}: {found} of {total} (at most {interval[1]:.2g})"
    part = _part(
        name, said, shares, mean(shares.values()), interval, Below(RARE_RATE), counts=_plain(counts)
    )
    return _refuted(part, bool(found) and len(counts) >= FEWEST_SEEDS)


def of_seeds(name: str, shown: Mapping[int, bool]) -> Part:
    """What exists: it holds if a seed shows it and a second one confirms it.

    It fails if none of enough seeds shows it, and one seed alone decides nothing.
    """
    count = Count(sum(shown.values()), len(shown))
    interval = clopper_pearson(*count)
    outcome: Outcome = "undecided"
    if count.found >= CONFIRMED_BY:
        outcome = "holds"
    elif not count.found and count.total >= FEWEST_SEEDS:
        outcome = "fails"
    measurement = {
        "per_seed": {seed: float(value) for seed, value in shown.items()},
        "mean": _share(count),
        "interval": list(interval),
        "asked": f"in {CONFIRMED_BY} seeds",
        "threshold": CONFIRMED_BY,
        "outcome": outcome,
    }
    said = (
        f"{name}: in {count.found} of {count.total} seeds "
        f"({100 * interval[0]:.2g} % to {100 * interval[1]:.2g} % of all), "
        f"asked in {CONFIRMED_BY}"
    )
    return Part(name, outcome, said, measurement)


def of_every(
    name: str, values: Mapping[int, float], ask: Below, *, limits: Interval = WHOLE_LINE
) -> Part:
    """As `of_mean` below a threshold, and refuted by a single seed above it."""
    part = of_mean(name, values, ask, limits=limits)
    above = any(value > ask.threshold for value in values.values())
    return _refuted(part, above and len(values) >= FEWEST_SEEDS)


def _part(
    name: str,
    said: str,
    per_seed: Mapping[int, float],
    center: float,
    interval: Interval,
    ask: Ask | None,
    **more: Any,
) -> Part:
    measurement = {"per_seed": dict(per_seed), "mean": center, "interval": list(interval), **more}
    if ask is None:
        return Part(name, None, said, measurement)
    outcome = ask.judge(interval) if len(per_seed) >= FEWEST_SEEDS else "undecided"
    return Part(
        name,
        outcome,
        f"{said}, asked {ask}",
        {**measurement, "asked": str(ask), "threshold": ask.threshold, "outcome": outcome},
    )


def _refuted(part: Part, refuted: bool) -> Part:
    if not refuted:
        return part
    return Part(part.name, "fails", part.said, {**part.measurement, "outcome": "fails"})


def _outcome(holds: bool, fails: bool) -> Outcome:
    return "holds" if holds else "fails" if fails else "undecided"


def _share(count: Count) -> float:
    return count.found / count.total if count.total else math.nan


def _plain(counts: Mapping[int, Count]) -> dict[int, list[int]]:
    return {seed: list(count) for seed, count in counts.items()}


def _range(center: float, interval: Interval) -> str:
    return f"{center:.3g} [{interval[0]:.3g}, {interval[1]:.3g}]"
