"""Held-out bits/dim per variant, of the raw and of the averaged weights."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments import style
from experiments.figures.panels import CROSS, note
from experiments.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    names_and_seeds,
    require,
    rows_of,
)
from flowjax_glow.runs.results import Run


def draw(runs: Sequence[Run]) -> Drawing:
    """A point per seed and a bar at their mean; a cross for what is too high to be shown."""
    runs = in_order(require(runs, lambda run: run.finished, "no run is finished yet"))
    raw = _numbers(runs, "bits_per_dim")
    averaged = _numbers(runs, "bits_per_dim_averaged")
    variants = list(by_variant(runs))
    limit = _limit(np.concatenate([raw, averaged]))
    figure = style.new_figure(2.8, width=max(4.0, 1.4 + 0.75 * len(variants)))
    axes = figure.subplots()
    for place, variant in enumerate(variants):
        rows = rows_of(runs, variant)
        _draw_seeds(axes, place - 0.15, raw[rows], variant, limit, filled=True)
        _draw_seeds(axes, place + 0.15, averaged[rows], variant, limit, filled=False)
    axes.set_xticks(range(len(variants)), variants, rotation=25)
    axes.set_xlim(-0.5, len(variants) - 0.5)
    axes.margins(y=0.12)
    axes.set_ylabel("held-out bits/dim")
    axes.grid(visible=False, axis="x")
    _legend(axes)
    note(
        figure,
        "Bars: mean over the seeds shown. Crosses: not finite, or above twice the median of all.",
    )
    return figure, {
        "bits_per_dim": raw,
        "bits_per_dim_averaged": averaged,
        **names_and_seeds(runs),
    }


def _numbers(runs: Sequence[Run], name: str) -> np.ndarray:
    values = [(run.summary or {}).get(name) for run in runs]
    return np.array([np.nan if value is None else value for value in values], float)


def _limit(values: np.ndarray) -> float:
    """Twice the median of what is finite: more would flatten the differences."""
    finite = values[np.isfinite(values)]
    return 2 * float(np.median(np.abs(finite))) if finite.size else 0.0


def _draw_seeds(
    axes: Axes, place: float, values: np.ndarray, variant: str, limit: float, *, filled: bool
) -> None:
    pen = style.pen(variant, marker=True) | {"linestyle": "none", "markersize": 5.5}
    finite = values[values <= limit]
    face = pen["color"] if filled else "white"
    axes.plot(np.full(len(finite), place), finite, markerfacecolor=face, **pen)
    if finite.size:
        axes.hlines(finite.mean(), place - 0.13, place + 0.13, color=pen["color"], linewidth=1)
    if finite.size < values.size:
        top = axes.get_xaxis_transform()
        axes.plot(place, 0.97, color=pen["color"], transform=top, clip_on=False, **CROSS)


def _legend(axes: Axes) -> None:
    pen: dict[str, Any] = {"color": "#444444", "marker": "o", "linestyle": "none"}
    points = [Line2D([], [], **pen), Line2D([], [], markerfacecolor="white", **pen)]
    axes.figure.legend(
        points, ["raw weights", "averaged weights"], loc="outside upper center", ncols=2
    )
