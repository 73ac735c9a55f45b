"""A verdict on an inverse, what it rests on, and how it is told."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """A line for each: grade, value and name; below it, unless it is trustworthy, its limits."""
    for m in measurements:
        yield f"  {m.grade:11}  {short(m.value):>8}  {m.name}"
        if m.grade != "trustworthy":
            limits = {"at risk": m.threshold.at_risk, "broken": m.threshold.broken}
            bounds = (f"{grade} > {short(n)}" for grade, n in limits.items() if n < math.inf)
            yield f"{'':25}({', '.join(bounds)})"


def in_columns(lines: Iterable[str], columns: int = 80) -> str:
    """Lines as one text; what is longer goes on below, moved in, but not before a percent sign."""
    joined = "\n".join(
        textwrap.fill(
            line.replace(" %", "\u00a0%"),
            columns,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 4),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    )
    return joined.replace("\u00a0", " ")


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

    def _to_json(self, **found: Any) -> dict[str, Any]:
        """Plain values, with what was `found` beside what every verdict has."""
        return {
            "verdict": self.verdict,
            "statement": self.statement,
            "lost_below": self.lost_below,
            "confidence": CONFIDENCE,
            **found,
            "measurements": [m.to_json() for m in self.measurements],
            "tables": {name: table.to_json() for name, table in self.tables.items()},
        }


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
        return in_columns([*lines, *(f"  {line}" for line in self._shares())])

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
        suspects = [suspect._asdict() for suspect in self.suspects]
        return self._to_json(layer=self.layer, reason=self.reason, suspects=suspects)

    def plot(self) -> Any:
        """A matplotlib figure: where the inverse stretches, and what comes back."""
        return draw(self)


def draw(report: "StabilityReport") -> Any:
    """Four panels; infinities and NaN are drawn at the upper edge, as crosses."""
    from flowjax_glow import plotting
    from flowjax_glow.layer_axis import name_layers, places

    tables: Any = report.tables
    layers = tables["layers, images"].layer.tolist()
    along = {
        "largest activation": ("activations", "largest"),
        "gain of a sub-layer, at least": ("layers", "gain"),
        "smallest scale of a coupling": ("scales", "smallest"),
    }
    with plotting.context():
        figure = plotting.new_figure(5.2)
        *panels, last = figure.subplots(2, 2).flat
        for panel, (label, (kind, column)) in zip(panels, along.items(), strict=True):
            name_layers(panel, layers, count=4)
            for number, name in enumerate(("images", "samples")):
                table = tables[f"{kind}, {name}"]
                if len(table.layer):
                    own = places(table.layer.tolist(), layers)
                    _line(panel, own, getattr(table, column), name, f"C{number}")
            panel.set_ylabel(label)
        trips = tables["samples"]
        for number, name in enumerate(("worst", "median")):
            _line(last, trips.tau, getattr(trips, name), name, f"C{number + 2}")
        last.set(xlabel="temperature τ of noise", ylabel="relative error of its way back")
        for panel in (*panels, last):
            panel.set_visible(bool(panel.lines))  # no scale, no picture of scales
            if panel.get_legend_handles_labels()[0]:
                panel.set_yscale("log")
                panel.legend()
        blame = "" if report.layer is None else f"; to blame: {report.layer}"
        figure.suptitle(f"{report.verdict}{blame}")
        plotting.note(figure, "Crosses at the upper edge: infinite, or not a number.")
    return figure


def _line(axes: Any, places: np.ndarray, values: np.ndarray, label: str, color: str) -> None:
    known = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    axes.plot(places, known, marker=".", markersize=3, label=label, color=color)
    lost = places[~np.isfinite(values)]
    if lost.size:
        axes.plot(
            lost,
            np.ones(lost.size),
            "x",
            color=color,
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )
