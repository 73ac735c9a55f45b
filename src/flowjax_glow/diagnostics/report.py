"""A verdict on an inverse, what it rests on, and how it is told."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowjax_glow.diagnostics.blame import PLAIN, Suspect, other_images
from flowjax_glow.diagnostics.rates import CONFIDENCE, Rates, Share
from flowjax_glow.diagnostics.table import Result, short
from flowjax_glow.diagnostics.thresholds import Threshold, Verdict
from flowjax_glow.files import strict


@dataclass(frozen=True)
class Measurement:
    """A number, what it is held against, and what it says."""

    name: str
    value: float
    threshold: Threshold

    @property
    def grade(self) -> Verdict:
        """What the number says of the inverse."""
        return self.threshold.grade(self.value)

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is a string."""
        return {
            "name": self.name,
            "value": strict(self.value),
            "at_risk": self.threshold.at_risk,
            "broken": strict(self.threshold.broken),
            "grade": self.grade,
        }


def listed(measurements: Sequence[Measurement]) -> Iterator[str]:
    """A line for each: the value, the grade, and what it was held against."""
    width = max((len(m.name) for m in measurements), default=0)
    for m in measurements:
        limits = {"at risk": m.threshold.at_risk, "broken": m.threshold.broken}
        bounds = ", ".join(
            f"{grade} > {short(value)}" for grade, value in limits.items() if value < math.inf
        )
        yield f"  {m.name:{width}}  {short(m.value):>9}  {m.grade:11}  ({bounds})"


class Judged:
    """What every verdict rests on, of a flow or of a pair of functions."""

    verdict: Verdict
    measurements: tuple[Measurement, ...]
    lost_below: float
    tables: Mapping[str, Result]

    @property
    def rates(self) -> Rates:
        """How many samples were lost or at risk, and the bounds, by noise level."""
        rates = self.tables["rates"]
        assert isinstance(rates, Rates)
        return rates

    @property
    def statement(self) -> str:
        """What the grade rests on: measurements that have it, and the share of samples lost."""
        causes = [m.name for m in self.measurements if m.grade == self.verdict != "trustworthy"]
        return "; ".join([*causes, self.rates.told(self.lost_below)])


@dataclass(frozen=True)
class StabilityReport(Judged):
    """The verdict on an inverse and all it rests on.

    Attributes:
        verdict: the worst grade of all measurements and of the rates of samples that failed.
        suspects: what is to blame, the plainest evidence first; none if nothing failed.
        measurements: what the verdict rests on beside rates.
        lost_below: the share of lost samples that `trustworthy` promises to be below.
        tables: the diagnostics' own results by name.
    """

    verdict: Verdict
    suspects: tuple[Suspect, ...]
    measurements: tuple[Measurement, ...]
    lost_below: float
    tables: Mapping[str, Result] = field(repr=False)

    @property
    def layer(self) -> str | None:
        """The sub-layer to blame; None if no cause was found, or nothing failed."""
        return self.suspects[0].layer if self.suspects else None

    @property
    def reason(self) -> str:
        """Why it is to blame, or that no cause was found."""
        return self.suspects[0].reason if self.suspects else ""

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}: {self.statement}"]
        if self.reason:
            blame = self.reason if self.layer is None else f"{self.layer}: {self.reason}"
            lines.append(f"to blame: {blame}")
        lines += [f"also: {s.layer}: {s.reason}" for s in self.suspects[1:] if s.kind in PLAIN]
        lines += listed(self.measurements)
        return "\n".join([*lines, *(f"  {line}" for line in self._shares())])

    def _shares(self) -> Iterator[str]:
        """How many images and samples the verdict rests on, and how many of them failed."""
        tables: Any = self.tables
        for suspect in other_images(tables):
            if suspect.layer != self.layer:
                yield f"{suspect.layer}: {suspect.reason}"
        images = tables["images"]
        count = int(images.images[0])
        of_images = not np.isnan(images.bins[0])  # floats have no bins
        if of_images:
            other = Share(round((1 - images.same_bins[0]) * count), count)
            yield other.told("images in other bins")
        columns = self.rates.columns().values()
        for tau, samples, lost, _, at_risk, _, outside, relative in zip(*columns, strict=True):
            told = [Share(lost, samples).told("lost", self.lost_below)]
            told += [f"{at_risk} at risk"] if at_risk > lost else []
            span, others = ("the colors", "images") if of_images else ("the range", "the examples")
            told += [f"{outside} far outside of {span}"] if outside else []
            told += [f"activations {short(relative)} times those of {others}"]
            yield f"samples at tau = {tau:g}: {'; '.join(told)}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not finite is a string."""
        return {
            "verdict": self.verdict,
            "statement": self.statement,
            "lost_below": self.lost_below,
            "confidence": CONFIDENCE,
            "layer": self.layer,
            "reason": self.reason,
            "suspects": [suspect._asdict() for suspect in self.suspects],
            "measurements": [m.to_json() for m in self.measurements],
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }

    def plot(self) -> Any:
        """A matplotlib figure: where the inverse stretches, and what comes back."""
        return draw(self)


def draw(report: "StabilityReport") -> Any:
    """Four panels; infinities and NaN are drawn at the upper edge, as crosses."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    tables: Any = report.tables
    for name in ("images", "samples"):
        _line(panels[0, 0], tables[f"activations, {name}"].largest, name)
        _line(panels[0, 1], tables[f"layers, {name}"].gain, name)
        if len(tables[f"scales, {name}"].layer):
            _line(panels[1, 0], tables[f"scales, {name}"].smallest, name)
    panels[0, 0].set(title="largest activation after each inverse sub-layer")
    panels[0, 1].set(title="gain of each inverse sub-layer, lower bound")
    panels[1, 0].set(title="smallest scale of each coupling")
    for panel in (panels[0, 0], panels[0, 1], panels[1, 0]):
        panel.set_xlabel("in the order of generation")
        panel.xaxis.get_major_locator().set_params(integer=True)
        if panel.lines:
            panel.set_yscale("log")
            panel.legend()

    trips, panel = tables["samples"], panels[1, 1]
    _line(panel, trips.worst, "worst", places=trips.tau)
    _line(panel, trips.median, "median", places=trips.tau)
    panel.set(title="round trip of noise", xlabel="temperature", yscale="log")
    panel.set_ylabel("relative error")
    panel.legend()
    blame = "" if report.layer is None else f"; to blame: {report.layer}"
    figure.suptitle(f"{report.verdict}{blame}")
    return figure


def _line(axes: Any, values: np.ndarray, label: str, places: np.ndarray | None = None) -> None:
    places = np.arange(len(values)) if places is None else places
    known = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    (line,) = axes.plot(places, known, marker=".", markersize=3, label=label)
    lost = places[~np.isfinite(values)]
    if lost.size:
        axes.plot(
            lost,
            np.ones(lost.size),
            "x",
            color=line.get_color(),
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
