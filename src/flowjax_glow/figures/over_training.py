"""How activations, samples and z = 0 fare over training."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowjax_glow import plotting
from flowjax_glow.diagnostics.thresholds import LIMIT, LOST
from flowjax_glow.figures.panels import (
    MEDIANS,
    aside,
    band,
    grid_height,
    label_lowest,
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
    names_and_seeds,
    require,
    rows_of,
    side_by_side,
    with_looks,
)
from flowjax_glow.plotting import note
from flowjax_glow.runs.looks import FAILING
from flowjax_glow.runs.results import Arrays, Run


def draw_over_steps(
    runs: Sequence[Run],
    measure: Callable[[Arrays], np.ndarray],
    name: str,
    limits: tuple[float, float] = (-np.inf, np.inf),
    *,
    sharey: bool = True,
) -> tuple[Figure, list[Axes], dict[str, np.ndarray], str]:
    """A figure, its panels, the arrays that are drawn, and which variants have no panel.

    Args:
        runs: with looks.
        measure: what is drawn of a look, (taus,).
        name: of the array (runs, steps, taus).
        limits: values beyond, also infinite ones, are drawn there.
        sharey: whether the panels have one vertical axis.
    """
    runs = in_order(runs)
    series = [{step: measure(look) for step, look in run.looks.items()} for run in runs]
    steps, values = side_by_side(series)
    taus = runs[0].last_look()["taus"]
    groups = {name: rows_of(runs, name) for name in by_variant(runs)}
    shown, constant = _that_change({name: values[rows] for name, rows in groups.items()})
    figure = plotting.new_figure(grid_height(shown))
    panels = variant_grid(figure, shown, sharex=True, sharey=sharey)
    for variant, axes in panels.items():
        rows = np.clip(values[groups[variant]], *limits)
        for index in range(len(taus)):
            x = aside(steps, index, len(taus))
            band(axes, x, rows[:, :, index], **ordered_pen(index, len(taus), marker=True))
    label_lowest(list(panels.values()), "training step")
    tau_legend(figure, taus, marker=True)
    left_out = without_panel(constant, "the value never changes")
    arrays = {"steps": steps, "taus": taus, name: values, **names_and_seeds(runs)}
    return figure, list(panels.values()), arrays, left_out


def _that_change(values: dict[str, np.ndarray]) -> tuple[list[str], list[str]]:
    """The names whose values change, all if none does; the others with their one value."""
    constant = {name: each for name, each in values.items() if np.nanmin(each) == np.nanmax(each)}
    if len(constant) == len(values):
        return list(values), []
    said = [f"{name} ({np.nanmax(each):g})" for name, each in constant.items()]
    return [name for name in values if name not in constant], said


#: Larger ones, and those that are not finite, are drawn here.
HIGHEST_ACTIVATION = 1e8


def largest_activation(runs: Sequence[Run]) -> Drawing:
    """The largest activation over all samples and sub-layers."""
    runs = with_looks(runs)
    figure, panels, arrays, left_out = draw_over_steps(
        runs, _largest, "largest_activation", (0, HIGHEST_ACTIVATION)
    )
    logarithmic(panels[0])
    if np.nanmax(arrays["largest_activation"]) >= HIGHEST_ACTIVATION:
        panels[0].set_ylim(top=2 * HIGHEST_ACTIVATION)
    figure.supylabel("largest activation")
    note(
        figure,
        "Over all samples and all sub-layers of the inverse, without a clip. Values above "
        f"{power_of_ten(HIGHEST_ACTIVATION)} or not finite are drawn there. {MEDIANS}{left_out}",
    )
    return figure, arrays


def _largest(look: Arrays) -> np.ndarray:
    worst = look["max_activation"].max(1)
    return np.where(np.isnan(worst), np.inf, worst)


def failing_region(runs: Sequence[Run]) -> Drawing:
    """The fraction of samples whose latents do not come back."""
    runs = with_looks(runs)
    figure, panels, arrays, left_out = draw_over_steps(runs, _lost, "lost")
    top = max(float(np.nanmax(arrays["lost"])), 0.01)
    panels[0].set_ylim(-0.05 * top, 1.08 * top)
    figure.supylabel("fraction of samples lost")
    note(
        figure,
        f"Lost: the round trip z, image, z has a relative error above {LOST:g} or is not "
        f"finite. {MEDIANS}{left_out}",
    )
    return figure, arrays


def _lost(look: Arrays) -> np.ndarray:
    return np.mean(~(look["z_error"] <= LOST), axis=1)  # NaN is lost, too


#: Activations beyond are drawn here.
_HIGHEST_AT_ZERO = 1e6

#: Where "none up to 1" is drawn on the axis of noise levels.
_NONE = 1.12


def origin(runs: Sequence[Run]) -> Drawing:
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
    figure = plotting.new_figure(2.9)
    left, right = figure.subplots(1, 2)
    variant_bands(left, runs, steps, np.minimum(zero, _HIGHEST_AT_ZERO))
    logarithmic(left)
    left.axhline(LIMIT, color="#666666", linewidth=0.8, linestyle=":")
    left.set_ylabel("largest activation from z = 0")
    variant_bands(right, runs, steps, np.where(np.isinf(critical), _NONE, critical))
    ticks = [0, 0.25, 0.5, 0.75, 1, _NONE]
    right.set_yticks(ticks, [*(f"{tick:g}" for tick in ticks[:-1]), "none"])
    right.set_ylim(max(-0.05, min(np.nanmin(critical), 1) - 0.3), 1.2)
    right.set_ylabel("critical temperature")
    for axes in (left, right):
        axes.set_xlabel("training step")
    variant_legend(figure, list(by_variant(runs)), marker=True)
    note(
        figure,
        f"Left: dotted, the limit of {LIMIT:g}. Right: the least noise level at which "
        f"{100 * FAILING:g} % of the samples pass that limit; none: not even at τ = 1. {MEDIANS}",
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
