"""A measurement by noise level against the training step: a panel per variant, a line per tau."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import style
from experiments.figures.panels import (
    band,
    grid_height,
    label_lowest,
    tau_legend,
    tau_pen,
    variant_grid,
)
from experiments.figures.selection import (
    by_variant,
    in_order,
    last,
    names_and_seeds,
    rows_of,
    side_by_side,
)
from flowjax_glow.runs.results import Arrays, Run


def draw_over_steps(
    runs: Sequence[Run],
    measure: Callable[[Arrays], np.ndarray],
    name: str,
    ceiling: float = np.inf,
) -> tuple[Figure, list[Axes], dict[str, np.ndarray]]:
    """A figure, its panels, and the arrays that are drawn: `name` is (runs, steps, taus).

    Args:
        runs: with looks.
        measure: what is drawn of a look, (taus,).
        name: of the array.
        ceiling: values beyond, also infinite ones, are drawn there.
    """
    runs = in_order(runs)
    series = [{step: measure(look) for step, look in run.looks.items()} for run in runs]
    steps, values = side_by_side(series)
    taus = last(runs[0].looks)["taus"]
    groups = by_variant(runs)
    figure = style.new_figure(grid_height(groups))
    panels = variant_grid(figure, list(groups), sharex=True, sharey=True)
    for variant, axes in panels.items():
        rows = np.minimum(values[rows_of(runs, variant)], ceiling)
        for index in range(len(taus)):
            band(axes, steps, rows[:, :, index], **tau_pen(index, len(taus), marker=True))
    label_lowest(list(panels.values()), "training step")
    tau_legend(figure, taus, marker=True)
    return (
        figure,
        list(panels.values()),
        {
            "steps": steps,
            "taus": taus,
            name: values,
            **names_and_seeds(runs),
        },
    )
