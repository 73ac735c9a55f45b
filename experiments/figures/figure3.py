"""Figure 3: the density of s in the first flow step after a split, by noise level."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments import style
from experiments.figures.densities import density, level_name, no_spread, pooled_counts
from experiments.figures.panels import (
    DATA_PEN,
    grid_height,
    logarithmic,
    note,
    say,
    tau_legend,
    tau_pen,
    variant_grid,
)
from experiments.figures.selection import (
    Drawing,
    by_variant,
    last,
    last_steps,
    looked_at_end,
    with_split,
)
from flowjax_glow.runs.results import Arrays, Run


def draw(runs: Sequence[Run]) -> Drawing:
    """A panel per variant, seeds pooled; the vertical axis is logarithmic, so tails show."""
    runs = with_split(looked_at_end(runs))
    groups = by_variant(runs)
    taus = last(runs[0].looks)["taus"]
    figure = style.new_figure(grid_height(groups))
    drawn: dict[str, np.ndarray] = {"taus": taus}
    for variant, axes in variant_grid(figure, list(groups)).items():
        files = [last(run.looks) for run in groups[variant]]
        values, edges = density(pooled_counts(files), files[0]["log10_s_edges"])
        drawn |= {f"density/{variant}": values, f"edges/{variant}": edges}
        _draw_panel(axes, files, values, edges)
    tau_legend(figure, taus, data=True)
    figure.supylabel("density of log₁₀ s")
    note(
        figure,
        f"Flow step right after a split in generation order, {level_name(runs[0])}, after "
        f"{last_steps([run.looks for run in runs])}; seeds pooled. The horizontal ranges differ; "
        "the outermost bins hold what lies beyond.",
    )
    return figure, drawn


def _draw_panel(axes: Axes, files: Sequence[Arrays], values: np.ndarray, edges: np.ndarray) -> None:
    axes.set_xlabel("log₁₀ s")
    if no_spread(files):
        say(axes, "s = 1 everywhere:\nno spread to show")
        axes.set(xticks=[], yticks=[])
        return
    count = len(values) - 1
    for index, row in enumerate(values[:-1]):
        axes.stairs(row, edges, baseline=None, linewidth=1.0, color=tau_pen(index, count)["color"])
    axes.stairs(values[-1], edges, baseline=None, linewidth=1.0, **DATA_PEN)
    axes.xaxis.set_major_locator(MaxNLocator(4))  # small ranges have long labels
    logarithmic(axes)
