"""Training loss (the paper's Figure 4) and held-out bits/dim."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flowjax_glow import plotting
from flowjax_glow.figures import style
from flowjax_glow.figures.panels import CROSS, band, variant_legend
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    names_and_seeds,
    require,
    rows_of,
    side_by_side,
)
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run


def training_loss(runs: Sequence[Run]) -> Drawing:
    """Means over windows of batches; mean over seeds with a band from lowest to highest.

    Below, what each variant has more than the control of the same seed, where there are both.
    """
    runs = in_order(require(runs, Run.window_losses, "no window of training losses is full yet"))
    steps, losses = side_by_side([run.window_losses() for run in runs])
    differences = losses - _controls(runs, losses)
    variants = list(by_variant(runs))
    known = np.nan_to_num(differences)
    compared = [name for name in variants if known[rows_of(runs, name)].any()]

    figure = plotting.new_figure(4.6 if compared else 3.2)
    heights = [3, 2] if compared else [3]
    shape = {"sharex": True, "squeeze": False, "height_ratios": heights}
    panels = figure.subplots(len(heights), 1, **shape)[:, 0]
    for variant in variants:
        pen = style.pen(variant, marker=True)
        band(panels[0], steps, losses[rows_of(runs, variant)], np.mean, **pen)
    _loss_limit(panels[0], losses)
    _mark_diverged(panels[0], runs, steps, losses)
    panels[0].set_ylabel("training loss (bits/dim)")
    if compared:
        _draw_differences(panels[1], runs, steps, differences, compared)
    panels[-1].set_xlabel("training step")
    variant_legend(figure, variants, marker=True)
    below = " Below, differences are taken per seed (same data order)." if compared else ""
    note(
        figure,
        f"Each point is the mean loss of {_window(runs)} batches; lines: mean over seeds, bands: "
        f"lowest to highest seed.{below} Cross: a seed that diverged. Largest, perhaps beyond the "
        f"axis: {np.nanmax(losses):.4g}.",
    )
    return figure, {
        "steps": steps,
        "window_loss": losses,
        "difference_to_control": differences,
        **names_and_seeds(runs),
    }


def _window(runs: Sequence[Run]) -> int:
    return next(window for run in runs for window in run.series("window").values())


def _controls(runs: Sequence[Run], losses: np.ndarray) -> np.ndarray:
    """For every run the losses of the control of its seed; NaN where there is none."""
    controls = {run.seed: row for run, row in zip(runs, losses) if run.variant == "control"}
    missing = np.full(losses.shape[1], np.nan)
    return np.array([controls.get(run.seed, missing) for run in runs])


def _loss_limit(axes: Axes, values: np.ndarray) -> None:
    """Limits from all but the first quarter: early losses may be a hundred times larger."""
    late = values[:, values.shape[1] // 4 :]
    late = late[np.isfinite(late)] if np.isfinite(late).any() else values[np.isfinite(values)]
    if late.size:
        low, high = late.min(), np.quantile(late, 0.98)
        room = max(high - low, 0.02)
        axes.set_ylim(low - 0.15 * room, high + 0.25 * room)


def _mark_diverged(axes: Axes, runs: Sequence[Run], steps: np.ndarray, losses: np.ndarray) -> None:
    """A cross at the last loss of each diverged run, at the edge if that is beyond the axis."""
    low, high = axes.get_ylim()
    for run, row in zip(runs, losses):
        known = np.flatnonzero(~np.isnan(row))
        if run.status == "diverged" and known.size:
            place = known[-1]
            color = style.pen(run.variant)["color"]
            height = np.clip(row[place], low, high)
            axes.plot(steps[place], height, color=color, clip_on=False, **CROSS)


def _draw_differences(
    axes: Axes,
    runs: Sequence[Run],
    steps: np.ndarray,
    differences: np.ndarray,
    variants: Sequence[str],
) -> None:
    for variant in variants:
        pen = style.pen(variant, marker=True)
        band(axes, steps, differences[rows_of(runs, variant)], np.mean, **pen)
    axes.axhline(0.0, color=style.pen("control")["color"], linewidth=0.8)
    _loss_limit(axes, differences)
    axes.set_ylabel("loss minus control's\n(bits/dim)")


def held_out(runs: Sequence[Run]) -> Drawing:
    """A point per seed and a bar at their mean; a cross for what is too high to be shown."""
    runs = in_order(require(runs, lambda run: run.is_finished, "no run is finished yet"))
    raw = _numbers(runs, "bits_per_dim")
    averaged = _numbers(runs, "bits_per_dim_averaged")
    variants = list(by_variant(runs))
    limit = _bits_limit(np.concatenate([raw, averaged]))
    figure = plotting.new_figure(2.8, width=max(4.0, 1.4 + 0.75 * len(variants)))
    axes = figure.subplots()
    for place, variant in enumerate(variants):
        rows = rows_of(runs, variant)
        _draw_seeds(axes, place - 0.2, raw[rows], variant, limit, filled=True)
        _draw_seeds(axes, place + 0.2, averaged[rows], variant, limit, filled=False)
    axes.set_xticks(range(len(variants)), [plotting.narrow(name, 12) for name in variants])
    axes.set_xlim(-0.5, len(variants) - 0.5)
    axes.margins(y=0.12)
    axes.set_ylabel("held-out bits/dim")
    axes.grid(visible=False, axis="x")
    _legend(figure)
    note(
        figure,
        "A point per seed, set side by side; bars: mean over the seeds shown. Crosses: not "
        "finite, or above twice the median of all.",
    )
    return figure, {
        "bits_per_dim": raw,
        "bits_per_dim_averaged": averaged,
        **names_and_seeds(runs),
    }


def _numbers(runs: Sequence[Run], name: str) -> np.ndarray:
    values = [(run.summary or {}).get(name) for run in runs]
    return np.array([np.nan if value is None else value for value in values], float)


def _bits_limit(values: np.ndarray) -> float:
    """Twice the median of what is finite: more would flatten the differences."""
    finite = values[np.isfinite(values)]
    return 2 * float(np.median(np.abs(finite))) if finite.size else 0.0


def _draw_seeds(
    axes: Axes, place: float, values: np.ndarray, variant: str, limit: float, *, filled: bool
) -> None:
    pen = style.pen(variant, marker=True) | {"linestyle": "none", "markersize": 4.5}
    finite = values[values <= limit]
    face = pen["color"] if filled else "white"
    beside = place + 0.24 * ((np.arange(len(finite)) + 0.5) / max(len(finite), 1) - 0.5)
    axes.plot(beside, finite, markerfacecolor=face, **pen)
    if finite.size:
        axes.hlines(finite.mean(), place - 0.17, place + 0.17, color=pen["color"], linewidth=1)
    if finite.size < values.size:
        top = axes.get_xaxis_transform()
        axes.plot(place, 0.97, color=pen["color"], transform=top, clip_on=False, **CROSS)


def _legend(figure: Figure) -> None:
    pen: dict[str, Any] = {"color": "#444444", "marker": "o", "linestyle": "none"}
    points = [Line2D([], [], **pen), Line2D([], [], markerfacecolor="white", **pen)]
    plotting.legend(figure, points, ["raw weights", "averaged weights"])
