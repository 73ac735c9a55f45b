"""The scales s of the first flow step after a split: Figure 3 and its companions."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments.figures import style
from experiments.figures.over_training import draw_over_steps
from experiments.figures.panels import (
    DATA_PEN,
    band,
    grid_height,
    logarithmic,
    power_of_ten,
    say,
    tau_legend,
    tau_pen,
    variant_grid,
    variant_legend,
)
from experiments.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    last_steps,
    looked_at_end,
    names_and_seeds,
    rows_of,
    with_looks,
    with_split,
)
from flowjax_glow import plotting
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Arrays, Run

#: Enough to see a shape, few enough to see a tail through the noise.
_BINS_SHOWN = 60

#: Scales of any smaller size are drawn here.
FLOOR = 1e-8


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


def level_name(run: Run) -> str:
    """Where the default place is, for a note."""
    arrays = run.looks[max(run.looks)]
    return f"level {default_place(arrays)}"


def on_floor(axes: Axes, lowest: float) -> None:
    """A logarithmic axis of s that ends at `FLOOR`, or above where all values are."""
    logarithmic(axes)
    axes.set_ylim(max(lowest, FLOOR) / 1.5, 2.0)
    for line in axes.get_lines():
        line.set_ydata(np.maximum(line.get_ydata(), FLOOR))


def figure3(runs: Sequence[Run]) -> Drawing:
    """A panel per variant, seeds pooled; the vertical axis is logarithmic, so tails show."""
    runs = with_split(looked_at_end(runs))
    groups = by_variant(runs)
    taus = runs[0].last_look()["taus"]
    figure = plotting.new_figure(grid_height(groups))
    drawn: dict[str, np.ndarray] = {"taus": taus}
    for variant, axes in variant_grid(figure, list(groups)).items():
        files = [run.last_look() for run in groups[variant]]
        values, edges = density(pooled_counts(files), files[0]["log10_s_edges"])
        drawn |= {f"density/{variant}": values, f"edges/{variant}": edges}
        _draw_densities(axes, files, values, edges)
    tau_legend(figure, taus, data=True)
    figure.supylabel("density of log₁₀ s")
    note(
        figure,
        f"Flow step right after a split in generation order, {level_name(runs[0])}, after "
        f"{last_steps([run.looks for run in runs])}; seeds pooled. The horizontal ranges differ; "
        "the outermost bins hold what lies beyond.",
    )
    return figure, drawn


def _draw_densities(
    axes: Axes, files: Sequence[Arrays], values: np.ndarray, edges: np.ndarray
) -> None:
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


def figure3_tails(runs: Sequence[Run]) -> Drawing:
    """Two quantiles, the smallest s, and how often s is below 1e-2."""
    runs = in_order(with_split(looked_at_end(runs)))
    measures = _measures(runs)
    taus = runs[0].last_look()["taus"]
    figure = plotting.new_figure(4.6)
    panels = figure.subplots(2, 2, sharex=True)
    for axes, (label, values) in zip(panels.ravel(), measures.items()):
        _draw_tails(axes, runs, taus, values)
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
    looks = [run.last_look() for run in runs]
    rows = {
        "quantile 1e-4 of s": [look["s_quantiles"][default_place(look), :-1, 0] for look in looks],
        "quantile 1e-3 of s": [look["s_quantiles"][default_place(look), :-1, 1] for look in looks],
        "smallest s": [look["s_min"][default_place(look), :-1] for look in looks],
        "P(s < 0.01)": [look["s_below"][default_place(look), :-1, 0] for look in looks],
    }
    return {label: np.array(values) for label, values in rows.items()}


def _draw_tails(axes: Axes, runs: Sequence[Run], taus: np.ndarray, values: np.ndarray) -> None:
    for variant in by_variant(runs):
        pen = style.pen(variant, marker=True)
        band(axes, taus, np.maximum(values, 0)[rows_of(runs, variant)], **pen)


def figure3_growth(runs: Sequence[Run]) -> Drawing:
    """A panel per variant; the left tail grows where the lines fall."""
    runs = with_split(with_looks(runs))
    figure, panels, arrays = draw_over_steps(
        runs, lambda look: look["s_min"][default_place(look), :-1], "smallest_s"
    )
    for axes in panels:
        on_floor(axes, float(np.nanmin(arrays["smallest_s"])))
    figure.supylabel("smallest s")
    note(
        figure,
        f"Flow step right after a split in generation order, {level_name(runs[0])}; median over "
        f"seeds, band: lowest to highest. What is below {power_of_ten(FLOOR)} is drawn there.",
    )
    return figure, arrays
