"""The scales s of the first flow step after a split (the paper's Figure 3)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flowjax_glow import plotting
from flowjax_glow.figures.over_training import draw_over_steps
from flowjax_glow.figures.panels import (
    DATA_PEN,
    MEDIANS,
    grid_height,
    logarithmic,
    ordered_pen,
    power_of_ten,
    tau_legend,
    variant_bands,
    variant_grid,
    variant_legend,
    without_panel,
)
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    last_steps,
    looked_at_end,
    names_and_seeds,
    with_looks,
    with_split,
)
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Arrays, Run

#: Enough to see a shape, few enough to see a tail through the noise.
_BINS_SHOWN = 60

#: Scales of any smaller size are drawn here.
FLOOR = 1e-8

#: Fractions of scales are on a linear axis up to this.
_LINEAR = 1e-5


def default_place(arrays: Arrays) -> int:
    """The deepest place: the first flow step that fresh noise meets in generation order."""
    return len(arrays["s_counts"]) - 1


def pooled_counts(files: Sequence[Arrays]) -> np.ndarray:
    """Counts (taus + 1, bins) of all files; the last row is on latents of data."""
    return np.sum([arrays["s_counts"][default_place(arrays)] for arrays in files], axis=0)


def no_spread(files: Sequence[Arrays]) -> bool:
    """Whether s is 1 wherever it was met."""
    tails = [arrays["s_quantiles"][default_place(arrays)] for arrays in files]
    lowest = [arrays["s_min"][default_place(arrays)] for arrays in files]
    return all(np.all(values == 1) for values in (*tails, *lowest))


def density(counts: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Densities (rows, bins) over the bins in use, merged to a number that can be seen, and edges.

    Bins without a count are NaN: they have no place on a logarithmic axis.
    """
    used = np.flatnonzero(counts.any(0))
    first, stop = used[0], used[-1] + 1
    step = max(1, (stop - first) // _BINS_SHOWN)
    starts = np.arange(first, stop, step)
    merged = np.add.reduceat(counts[:, :stop], starts, axis=1)
    edges = edges[[*starts, stop]]
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    return np.where(merged > 0, merged / (total * np.diff(edges)), np.nan), edges


def _place(run: Run) -> str:
    """Where the default place is, for a note."""
    level = default_place(run.last_look())
    return f"Flow step right after a split in generation order, level {level}"


def densities(runs: Sequence[Run]) -> Drawing:
    """A panel per variant, seeds pooled; the vertical axis is logarithmic, so tails show."""
    runs = with_split(looked_at_end(runs))
    groups = by_variant(runs)
    taus = runs[0].last_look()["taus"]
    files = {name: [run.last_look() for run in group] for name, group in groups.items()}
    flat = [name for name in groups if no_spread(files[name])]
    shown = [name for name in groups if name not in flat] or list(groups)
    figure = plotting.new_figure(grid_height(shown))
    panels = variant_grid(figure, shown, sharey=True)
    drawn: dict[str, np.ndarray] = {"taus": taus}
    for variant, looks in files.items():
        values, edges = density(pooled_counts(looks), looks[0]["log10_s_edges"])
        drawn |= {f"density/{variant}": values, f"edges/{variant}": edges}
        if variant in panels:
            _draw_densities(panels[variant], values, edges)
    tau_legend(figure, taus, data=True)
    figure.supylabel("density of log₁₀ s")
    note(
        figure,
        f"{_place(runs[0])}, after {last_steps([run.looks for run in runs])}; seeds pooled. The "
        "horizontal ranges differ; the outermost bins hold what lies beyond."
        f"{without_panel(flat, 's = 1 everywhere')}",
    )
    return figure, drawn


def _draw_densities(axes: Axes, values: np.ndarray, edges: np.ndarray) -> None:
    axes.set_xlabel("log₁₀ s")
    count = len(values) - 1
    pens = [ordered_pen(index, count) for index in range(count)]
    for row, pen in zip(values, [*pens, DATA_PEN]):
        axes.stairs(row, edges, baseline=None, linewidth=1.0, **pen)
    axes.xaxis.set_major_locator(MaxNLocator(5))  # small ranges have long labels
    logarithmic(axes)


def tail_quantiles(runs: Sequence[Run]) -> Drawing:
    """Two quantiles, the smallest s, and how often s is below 1e-2."""
    runs = in_order(with_split(looked_at_end(runs)))
    measures = _measures(runs)
    taus = runs[0].last_look()["taus"]
    figure = plotting.new_figure(4.6)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (label, values) in zip(panels.ravel(), measures.items()):
        variant_bands(axes, runs, taus, np.maximum(values, FLOOR))
        axes.set_ylabel(label)
        logarithmic(axes)
    _symmetric(panels[1, 1], float(np.nanmax(measures["P(s < 0.01)"])))
    for axes in panels[1]:
        axes.set_xlabel("noise level τ")
    variant_legend(figure, list(by_variant(runs)), marker=True)
    note(
        figure,
        f"{_place(runs[0])}, after {last_steps([run.looks for run in runs])}. Latents are τ times "
        f"standard normal. {MEDIANS} The vertical ranges differ. What is below "
        f"{power_of_ten(FLOOR)} is drawn there. The last axis is linear up to "
        f"{power_of_ten(_LINEAR)}.",
    )
    return figure, {"taus": taus, **names_and_seeds(runs), **measures}


def _symmetric(axes: Axes, highest: float) -> None:
    """A logarithmic axis that is linear near zero."""
    axes.set_yscale("symlog", linthresh=_LINEAR, linscale=0.5)
    axes.yaxis.set_major_formatter(lambda value, _: power_of_ten(value))
    axes.set_ylim(-0.1 * _LINEAR, 2 * max(highest, _LINEAR))


def _measures(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """Arrays (runs, taus) by the label of their axis."""
    looks = [run.last_look() for run in runs]
    rows = {
        "quantile 1e-4 of s": [look["s_quantiles"][default_place(look), :-1, 0] for look in looks],
        "quantile 1e-3 of s": [look["s_quantiles"][default_place(look), :-1, 1] for look in looks],
        "smallest s": [look["s_min"][default_place(look), :-1] for look in looks],
        "P(s < 0.01)": [look["s_below"][default_place(look), :-1, 0] for look in looks],
    }
    return {label: np.array(values) for label, values in rows.items()}


def smallest_over_training(runs: Sequence[Run]) -> Drawing:
    """A panel per variant; the left tail grows where the lines fall."""
    runs = with_split(with_looks(runs))
    figure, panels, arrays, left_out = draw_over_steps(
        runs,
        lambda look: look["s_min"][default_place(look), :-1],
        "smallest_s",
        (FLOOR, np.inf),
        sharey=False,
    )
    for axes in panels:
        logarithmic(axes)
    figure.supylabel("smallest s")
    note(
        figure,
        f"{_place(runs[0])}. {MEDIANS} The vertical ranges differ. What is below "
        f"{power_of_ten(FLOOR)} is drawn there.{left_out}",
    )
    return figure, arrays
