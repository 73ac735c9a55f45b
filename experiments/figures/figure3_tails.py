"""The lower tail of s against the noise level, for all variants beside each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments import style
from experiments.figures.densities import FLOOR, default_place, level_name, on_floor
from experiments.figures.panels import band, note, power_of_ten, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    last,
    last_steps,
    looked_at_end,
    names_and_seeds,
    rows_of,
    with_split,
)
from flowjax_glow.runs.results import Run


def draw(runs: Sequence[Run]) -> Drawing:
    """Two quantiles, the smallest s, and how often s is below 1e-2."""
    runs = in_order(with_split(looked_at_end(runs)))
    measures = _measures(runs)
    taus = last(runs[0].looks)["taus"]
    figure = style.new_figure(4.6)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (label, values) in zip(panels.ravel(), measures.items()):
        _draw_panel(axes, runs, taus, values)
        axes.set_ylabel(label)
    for axes in panels.ravel()[:3]:
        on_floor(axes, min(np.nanmin(values) for values in list(measures.values())[:3]))
    panels[1, 1].set_yscale("symlog", linthresh=1e-4, linscale=0.5)
    panels[1, 1].yaxis.set_major_formatter(lambda value, _: power_of_ten(value))
    panels[1, 1].set_ylim(-1e-5, 2 * max(np.nanmax(measures["P(s < 0.01)"]), 1e-3))
    for axes in panels[1]:
        axes.set_xlabel("noise level τ (latents are τ times standard normal)")
    variant_legend(figure, list(by_variant(runs)), marker=True)
    note(
        figure,
        f"Flow step right after a split in generation order, {level_name(runs[0])}, after "
        f"{last_steps([run.looks for run in runs])}; median over seeds, band: lowest to highest. "
        f"What is below {power_of_ten(FLOOR)} is drawn there. The last axis is linear up to 10⁻⁴.",
    )
    return figure, {"taus": taus, **names_and_seeds(runs), **measures}


def _measures(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Arrays (runs, taus) by the label of their axis."""
    looks = [last(run.looks) for run in runs]
    rows = {
        "quantile 1e-4 of s": [look["s_quantiles"][default_place(look), :-1, 0] for look in looks],
        "quantile 1e-3 of s": [look["s_quantiles"][default_place(look), :-1, 1] for look in looks],
        "smallest s": [look["s_min"][default_place(look), :-1] for look in looks],
        "P(s < 0.01)": [look["s_below"][default_place(look), :-1, 0] for look in looks],
    }
    return {label: np.array(values) for label, values in rows.items()}


def _draw_panel(axes: Axes, runs: Sequence[Run], taus: np.ndarray, values: np.ndarray) -> None:
    for variant in by_variant(runs):
        pen = style.pen(variant, marker=True)
        band(axes, taus, np.maximum(values, 0)[rows_of(runs, variant)], **pen)
