"""z = 0 and the noise level at which samples begin to fail, over training."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments import style
from experiments.figures.panels import band, logarithmic, note, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    in_order,
    names_and_seeds,
    require,
    rows_of,
    side_by_side,
    with_looks,
)
from flowjax_glow.runs.results import Arrays, Run
from flowjax_glow.runs.summary import TABLE_CLIP

#: Activations beyond are drawn here.
_CEILING = 1e6

#: Where "none up to 1" is drawn on the axis of noise levels.
_NONE = 1.12


def draw(runs: Sequence[Run]) -> Drawing:
    """The largest activation from z = 0, and the critical temperature, a line per variant."""
    runs = in_order(
        require(
            with_looks(runs),
            lambda run: all("critical_temperature" in look for look in run.looks.values()),
            "no look has a critical temperature",
        )
    )
    steps, zero = _over_steps(runs, _from_zero)
    _, critical = _over_steps(runs, lambda look: float(look["critical_temperature"]))
    figure = style.new_figure(2.9)
    left, right = figure.subplots(1, 2)
    _draw(left, runs, steps, np.minimum(zero, _CEILING))
    logarithmic(left)
    left.axhline(TABLE_CLIP, color="#666666", linewidth=0.8, linestyle=":")
    left.set_ylabel("largest |activation| from z = 0")
    _draw(right, runs, steps, np.where(np.isinf(critical), _NONE, critical))
    right.set_ylim(-0.05, 1.2)
    ticks = [0, 0.25, 0.5, 0.75, 1, _NONE]
    right.set_yticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), "none"])
    right.set_ylabel("critical temperature")
    for axes in (left, right):
        axes.set_xlabel("training step")
    variant_legend(figure, list(by_variant(runs)), marker=True)
    note(
        figure,
        f"Left: dotted, the limit of {TABLE_CLIP:g}. Right: the least noise level at which "
        "1 % of the samples pass that limit; none: not even at tau = 1. Median over seeds, band: "
        "lowest to highest.",
    )
    return figure, {
        "steps": steps,
        "zero_activation": zero,
        "critical_temperature": critical,
        **names_and_seeds(runs),
    }


def _over_steps(
    runs: Sequence[Run], measure: Callable[[Arrays], float]
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and ``(runs, steps)``."""
    return side_by_side([{step: measure(look) for step, look in run.looks.items()} for run in runs])


def _from_zero(look: Arrays) -> float:
    (row,) = np.flatnonzero(look["taus"] == 0)
    largest = look["max_activation"][row].max()
    return float(np.inf if np.isnan(largest) else largest)


def _draw(axes: Axes, runs: Sequence[Run], steps: np.ndarray, values: np.ndarray) -> None:
    for variant in by_variant(runs):
        band(axes, steps, values[rows_of(runs, variant)], **style.pen(variant, marker=True))
