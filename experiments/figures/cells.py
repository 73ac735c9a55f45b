"""Many models beside each other, a line each: likelihood, samples that break, activations."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments import style
from experiments.figures.panels import note, power_of_ten
from experiments.figures.selection import Drawing, names_and_seeds, trained
from flowjax_glow.runs.results import Run

#: Larger activations, and what is not finite, are drawn here.
CEILING = 1e7


def draw(runs: Sequence[Run], order: Sequence[str]) -> Drawing:
    """A point per seed and a bar at their median; the rows in the order given, from the top."""
    runs = trained(runs)
    names = [name for name in order if any(run.variant == name for run in runs)]
    runs = [run for name in names for run in runs if run.variant == name]
    columns = {
        "held-out bits/dim": [float((run.summary or {})["bits_per_dim"]) for run in runs],
        "samples broken, τ = 1, %": [
            100 * float((run.summary or {})["broken"]["1"]) for run in runs
        ],
        "largest activation, τ = 1": [
            float((run.summary or {})["max_activation"]["1"]) for run in runs
        ],
    }
    arrays = {name: np.array(values) for name, values in columns.items()}
    figure = style.new_figure(0.9 + 0.19 * len(names))
    panels = figure.subplots(1, len(arrays), sharey=True)
    places = np.array([names.index(run.variant) for run in runs])
    for axes, (label, values) in zip(panels, arrays.items()):
        drawn = np.minimum(np.nan_to_num(values, nan=np.inf), CEILING)
        _draw_column(axes, places, drawn)
        axes.set_xlabel(label)
    panels[2].set_xscale("log")
    panels[2].xaxis.set_major_formatter(lambda value, _: power_of_ten(value))
    panels[0].locator_params(axis="x", nbins=4)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    note(
        figure,
        f"A point per seed, bars at their median. Activations above {CEILING:g} are drawn there; "
        "runs that diverged have no point.",
    )
    return figure, {**names_and_seeds(runs), **arrays}


def _draw_column(axes: Axes, places: np.ndarray, values: np.ndarray) -> None:
    axes.plot(values, places, color="#0072B2", marker="o", markersize=3, linestyle="none")
    for place in np.unique(places):
        middle = np.median(values[places == place])
        axes.vlines(middle, place - 0.35, place + 0.35, color="#0072B2", linewidth=1.2)
    axes.grid(visible=True, axis="y")
