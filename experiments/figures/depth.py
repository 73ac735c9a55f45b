"""The same variants at several depths: along the inverse, and against the depth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from experiments.figures.studies import CEILING, measured, up_to_ceiling
from flowjax_glow import plotting
from flowjax_glow.figures import style
from flowjax_glow.figures.panels import (
    band,
    logarithmic,
    ordered_pen,
    power_of_ten,
    variant_legend,
)
from flowjax_glow.figures.selection import (
    Drawing,
    names_and_seeds,
    per_run,
    require,
    side_by_side,
)
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run

#: log10 of activations; larger ones, and what overflows, are drawn here.
_CEILING = 6.0

#: The level whose latents enter last, where inverses were seen to break.
_LEVEL = "level0"


def growth(runs: Sequence[Run]) -> Drawing:
    """A column per family of variants, a line per depth: against steps, and against steps/depth."""
    runs = require(runs, _has_growth, "no finished run has looked along its inverse")
    families = _families(runs)
    depths = sorted({_depth(run) for run in runs})
    pens = {depth: ordered_pen(i, len(depths), marker=True) for i, depth in enumerate(depths)}
    figure = plotting.new_figure(4.8)
    panels = figure.subplots(2, len(families), sharex="row", sharey=True, squeeze=False)
    for column, family in zip(panels.T, families):
        for depth in depths:
            group = [run for run in runs if (_family(run.variant), _depth(run)) == (family, depth)]
            if group:
                _draw_growth(column, group, depth, pens[depth])
        column[0].set_title(family)
        column[0].set_xlabel("flow steps after the split")
        column[1].set_xlabel("flow steps / depth")
    figure.supylabel("log₁₀ of the largest activation, τ = 1")
    lines = [Line2D([], [], **pen) for pen in pens.values()]
    plotting.legend(figure, lines, [f"depth {depth}" for depth in depths])
    note(
        figure,
        f"After every flow step of the finest level's inverse ({_LEVEL}). Line: the median "
        "sample; band: 5 to 95 % of the samples; both medians over seeds. What is above "
        f"{_CEILING:g} is drawn there.",
    )
    return figure, per_run("log10", runs, [_growth(run) for run in runs])


def _draw_growth(column: np.ndarray, group: Sequence[Run], depth: int, pen: dict[str, Any]) -> None:
    """The runs of one depth, against steps in the upper panel and steps/depth in the lower."""
    values = np.median([np.minimum(_growth(run), _CEILING) for run in group], axis=0)
    steps = np.arange(1, len(values) + 1)
    for axes, x in zip(column, (steps, steps / depth)):
        axes.plot(x, values[:, values.shape[1] // 2], markevery=max(1, len(x) // 4), **pen)
        low, high = values[:, 0], values[:, -1]
        axes.fill_between(x, low, high, color=pen["color"], alpha=0.15, linewidth=0)


def by_depth(runs: Sequence[Run], order: Sequence[str]) -> Drawing:
    """What `studies.cells` shows, against the depth: a line per family of variants."""
    runs, columns = measured(runs, order)
    families = _families(runs)
    figure = plotting.new_figure(3.0)
    for axes, (label, values) in zip(figure.subplots(1, len(columns)), columns.items()):
        pairs = zip(runs, up_to_ceiling(values))
        depths, drawn = side_by_side([{_depth(run): value} for run, value in pairs])
        for family in families:
            rows = [_family(run.variant) == family for run in runs]
            band(axes, depths, drawn[rows], **style.pen(family, marker=True))
        axes.set_xscale("log", base=2)
        axes.set_xticks(depths, [f"{depth}" for depth in depths])
        axes.set_xlabel("depth: flow steps per level")
        axes.set_ylabel(label)
    logarithmic(figure.axes[-1])
    variant_legend(figure, families, marker=True)
    note(
        figure,
        "Line: median over seeds, band: lowest to highest. Activations above "
        f"{power_of_ten(CEILING)} are drawn there. Runs that diverged are left out.",
    )
    return figure, {**names_and_seeds(runs), **columns}


def _families(runs: Sequence[Run]) -> list[str]:
    """The families of the runs, in the order of legends."""
    return style.order({_family(run.variant) for run in runs})


def _has_growth(run: Run) -> bool:
    return bool(run.is_finished and run.looks and run.clippings and "log_growth" in run.last_look())


def _growth(run: Run) -> np.ndarray:
    """log10 of the largest activation after every step, ``(steps, quantiles)``, at tau = 1."""
    look = run.last_look()
    names = [name.split("/") for name in run.last_clipping()["layers"].tolist()]
    # the last sub-layer of a step stands for it
    ends = {step: i for i, (level, step, *_) in enumerate(names) if level == _LEVEL}
    rows = [i for step, i in ends.items() if step.startswith("step")]
    return look["log_growth"][run.row_at(1.0)][rows] / np.log(10)


def _depth(run: Run) -> int:
    return int(run.config["model"]["depth"])


def _family(variant: str) -> str:
    """The name without a depth: ``bounded`` of ``bounded-depth8``."""
    return variant.partition("-depth")[0]
