"""Activations along the inverse, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.figures import style
from experiments.figures.panels import OVERFLOW, band, logarithmic, power_of_ten, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    per_run,
    require,
)
from flowjax_glow import plotting
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run


def activation_trace(runs: Sequence[Run]) -> Drawing:
    """A line per variant along the inverse, from the latents on the left to the image."""
    runs = in_order(clipped_at_end(runs))
    figure = plotting.new_figure(3.2)
    axes = figure.subplots()
    logarithmic(axes)
    for variant, group in by_variant(runs).items():
        for layers, values in _by_length([_trace(run) for run in group]):
            band(axes, np.linspace(0, 1, layers), values, **style.pen(variant))
    axes.set_xlabel("place in the inverse: 0 is the coarsest latent, 1 the image")
    axes.set_ylabel("largest activation, τ = 1")
    variant_legend(figure, list(by_variant(runs)))
    note(
        figure,
        f"Over the samples of a clipping, after {last_steps([run.clippings for run in runs])}, no "
        f"clip; median over seeds, band: lowest to highest. At {power_of_ten(OVERFLOW)}: float32 "
        "overflows.",
    )
    return figure, per_run("largest", runs, [_trace(run) for run in runs])


def _trace(run: Run) -> np.ndarray:
    largest = np.asarray(run.last_clipping()["sample_max"], float)
    return np.minimum(np.nan_to_num(largest, nan=np.inf), OVERFLOW)


def _by_length(traces: Sequence[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """Traces of inverses of one length together: models of a variant may differ in depth."""
    lengths = dict.fromkeys(map(len, traces))
    return [(n, np.stack([trace for trace in traces if len(trace) == n])) for n in lengths]


#: log10 of activations; larger ones, and what overflows, are drawn here.
_CEILING = 6.0

#: The level whose latents enter last, where inverses were seen to break.
_LEVEL = "level0"


def growth(runs: Sequence[Run]) -> Drawing:
    """A column per family of variants, a line per depth: against steps, and against steps/depth."""
    runs = require(runs, _has_growth, "no finished run has looked along its inverse")
    families = list(dict.fromkeys(_family(name) for name in by_variant(runs)))
    depths = sorted({_depth(run) for run in runs})
    pens: dict[int, dict[str, Any]] = {
        depth: {"color": style.shade(i, len(depths))} for i, depth in enumerate(depths)
    }
    figure = plotting.new_figure(4.4)
    panels = figure.subplots(2, len(families), sharey=True, squeeze=False)
    for column, family in zip(panels.T, families):
        for depth in depths:
            group = [run for run in runs if (_family(run.variant), _depth(run)) == (family, depth)]
            if group:
                seeds = [np.minimum(_growth(run), _CEILING) for run in group]
                values = np.median(seeds, axis=0)
                steps = np.arange(1, len(values) + 1)
                for axes, x in zip(column, (steps, steps / depth)):
                    _draw_line(axes, x, values, pens[depth])
        column[0].set_title(family)
        column[0].set_xlabel("steps after the split")
        column[1].set_xlabel("steps / depth")
    for axes in panels[:, 0]:
        axes.set_ylabel("log10 largest activation, τ = 1")
    lines = [Line2D([], [], **pen) for pen in pens.values()]
    labels = [f"depth {depth}" for depth in depths]
    figure.legend(lines, labels, loc="outside upper center", ncols=len(depths))
    note(
        figure,
        "After every step of the finest level's inverse. Line: the median sample; band: 5 to 95 % "
        f"of the samples; both medians over seeds. What is above {_CEILING:g} is drawn there.",
    )
    return figure, per_run("log10", runs, [_growth(run) for run in runs])


def _draw_line(axes: Axes, x: np.ndarray, values: np.ndarray, pen: dict[str, Any]) -> None:
    axes.plot(x, values[:, values.shape[1] // 2], **pen)
    axes.fill_between(x, values[:, 0], values[:, -1], alpha=0.15, linewidth=0, **pen)


def _has_growth(run: Run) -> bool:
    return bool(run.is_finished and run.looks and run.clippings and "log_growth" in run.last_look())


def _growth(run: Run) -> np.ndarray:
    """log10 of the largest activation after every step, ``(steps, quantiles)``, at tau = 1."""
    look = run.last_look()
    names = [name.split("/") for name in run.last_clipping()["layers"].tolist()]
    # the last sub-layer of a step stands for it
    ends = {step: i for i, (level, step, *_) in enumerate(names) if level == _LEVEL}
    rows = [i for step, i in ends.items() if step.startswith("step")]
    return look["log_growth"][run.at_temperature(1.0)][rows] / np.log(10)


def _depth(run: Run) -> int:
    return int(run.config["model"]["depth"])


def _family(variant: str) -> str:
    """The name without a depth: ``bounded`` of ``bounded-depth8``."""
    return variant.partition("-depth")[0]
