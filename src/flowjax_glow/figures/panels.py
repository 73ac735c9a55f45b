"""What several figures draw: bands over seeds, grids of panels, legends, notes."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from flowjax_glow.figures import style
from flowjax_glow.figures.selection import by_variant, rows_of
from flowjax_glow.plotting import legend
from flowjax_glow.runs.results import Run

#: Keywords of a line about latents of data rather than noise.
DATA_PEN: dict[str, Any] = {"color": "#D55E00", "linestyle": (0, (3, 1.5))}

#: What lines and bands are, for a note.
MEDIANS = "Line: median over seeds, band: lowest to highest; points are set side by side."

#: Where what overflows float32 is drawn, on logarithmic axes.
OVERFLOW = 1e40

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

#: Keywords of a point that marks what has no place on an axis.
CROSS: dict[str, Any] = {
    "marker": "x",
    "linestyle": "none",
    "markeredgewidth": 1.5,
    "markersize": 6,
}


def logarithmic(axes: Axes, name: Literal["x", "y"] = "y") -> None:
    """A logarithmic axis; without minor ticks and TeX labels, which are slow to draw."""
    axes.set(**{f"{name}scale": "log"})
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_major_locator(_Ticks())
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: power_of_ten(value))


def power_of_ten(value: float) -> str:
    """``10⁻²``; numbers that are none, or close to 1, as they are."""
    exponent = math.log10(value) if value > 0 else 0.0
    if abs(exponent) < 1.5 or not math.isclose(exponent, round(exponent), abs_tol=1e-9):
        return f"{value:g}".replace("e-0", "e-")
    return "10" + str(round(exponent)).translate(_SUPERSCRIPTS)


class _Ticks(LogLocator):
    """Powers of ten; where there are less than three also 2 and 5 times these; else round."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        if vmax < 5 * vmin:
            return MaxNLocator(4).tick_values(vmin, vmax)
        self.set_params(subs=(1.0, 2.0, 5.0) if vmax < 100 * vmin else (1.0,))
        return super().tick_values(vmin, vmax)


def band(
    axes: Axes,
    x: np.ndarray,
    values: np.ndarray,
    center: Callable[..., np.ndarray] = np.median,
    **pen: Any,
) -> None:
    """A line at the center of all seeds that reach a place, and a band from lowest to highest.

    Args:
        axes: where to draw.
        x: (places,).
        values: (seeds, places); NaN where a seed has no value.
        center: of the values of one place.
        pen: keywords of the line.
    """
    reached = ~np.isnan(values)
    places = reached.any(0)
    columns = [column[have] for column, have in zip(values.T, reached.T) if have.any()]
    x = x[places]
    axes.plot(x, [center(column) for column in columns], **pen)
    if max(map(len, columns), default=0) > 1:
        low, high = [c.min() for c in columns], [c.max() for c in columns]
        axes.fill_between(x, low, high, color=pen["color"], alpha=0.15, linewidth=0)


def aside(places: np.ndarray, index: int, count: int) -> np.ndarray:
    """Places for member `index` of `count`: a little apart, so that equal values are all seen."""
    gap = np.abs(np.diff(places)).min() if len(places) > 1 else 1.0
    return places + 0.5 * gap * ((index + 0.5) / count - 0.5)


def variant_bands(axes: Axes, runs: Sequence[Run], places: np.ndarray, values: np.ndarray) -> None:
    """A line with markers and a band over seeds per variant; `values` is (runs, places)."""
    variants = list(by_variant(runs))
    for index, variant in enumerate(variants):
        x = aside(places, index, len(variants))
        band(axes, x, values[rows_of(runs, variant)], **style.pen(variant, marker=True))


def variant_grid(figure: Figure, variants: Sequence[str], **shared) -> dict[str, Axes]:
    """A panel per variant, titled."""
    rows, columns = _grid_shape(len(variants))
    grid = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for axes in grid[len(variants) :]:
        axes.remove()
    for axes, variant in zip(grid, variants):
        axes.set_title(variant, fontweight="bold", color=style.pen(variant)["color"])
    return dict(zip(variants, grid))


def without_panel(names: Sequence[str], reason: str) -> str:
    """A sentence for a note, about the variants that a grid leaves out."""
    return f" No panel for {', '.join(names)}: {reason}." if names else ""


def grid_height(variants: Collection[str]) -> float:
    """The height in inches of a figure that is one `variant_grid` with legend and note."""
    return 1.1 + 1.8 * _grid_shape(len(variants))[0]


def label_lowest(panels: Sequence[Axes], text: str) -> None:
    """Labels the shared horizontal axis below the last row of a grid.

    Above a hole in that row numbers alone must do, since a label there would part the rows.
    """
    rows, columns = _grid_shape(len(panels))
    for index, axes in enumerate(panels):
        axes.tick_params(labelbottom=index + columns >= len(panels))
        axes.set_xlabel(text if index >= (rows - 1) * columns else "")


def _grid_shape(count: int) -> tuple[int, int]:
    columns = min(count, 3 if count <= 6 else 4)
    return math.ceil(count / columns), columns


def variant_legend(
    figure: Figure | SubFigure, variants: Sequence[str], *, marker: bool = False
) -> None:
    """The variants above all panels."""
    pens = [style.pen(name, marker=marker) for name in variants]
    legend(figure, [Line2D([], [], **pen) for pen in pens], list(variants))


def tau_legend(
    figure: Figure | SubFigure, taus: np.ndarray, *, marker: bool = False, data: bool = False
) -> None:
    """The noise levels above all panels, and perhaps the latents of data."""
    pens = [ordered_pen(index, len(taus), marker=marker) for index in range(len(taus))]
    lines = [Line2D([], [], **pen) for pen in pens]
    labels = [f"τ = {tau:g}" for tau in taus]
    if data:
        lines.append(Line2D([], [], **DATA_PEN))
        labels.append("held-out images")
    legend(figure, lines, labels)


def ordered_pen(index: int, count: int, *, marker: bool = False) -> dict[str, Any]:
    """Keywords of the line of one of `count` noise levels or depths."""
    pen = {"color": style.shade(index, count), "linestyle": "-"}
    return pen | {"marker": "os^vDPX<>h"[index % 10]} if marker else pen
