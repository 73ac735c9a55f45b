"""Many models beside each other: a line each, or a point each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from experiments.figures.panels import OVERFLOW, logarithmic, power_of_ten
from experiments.figures.selection import Drawing, by_variant, names_and_seeds, trained
from flowjax_glow import plotting
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run

#: Larger activations, and what is not finite, are drawn here.
CEILING = 1e7


def cells(runs: Sequence[Run], order: Sequence[str]) -> Drawing:
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
    figure = plotting.new_figure(0.9 + 0.19 * len(names))
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


#: What stays below is shown once more, enlarged.
HEALTHY = 2e3

#: Likelihoods worse than the best by more than this are drawn at the edge, with their number.
WORSE = 0.12

#: A family of scales: its name in the legend, its color and its marker.
FAMILIES: dict[str, tuple[str, str]] = {
    "sigmoid, no floor (control)": ("#000000", "o"),
    "additive": ("#E69F00", "s"),
    "sigmoid + b": ("#56B4E9", "^"),
    "sigmoid in (a, 1)": ("#0072B2", "v"),
    "soft clamp, |log s| < alpha": ("#999933", "h"),
    "|log s| < alpha / depth": ("#009E73", "P"),
    "-alpha / depth < log s < 0": ("#88CCAA", "X"),
    "damped nets, |log s| < alpha / depth": ("#D55E00", "D"),
    "damped nets, no floor": ("#882255", "o"),
}


def scales(runs: Sequence[Run]) -> Drawing:
    """Median over seeds, with lines from the lowest to the highest seed; the front in gray."""
    runs = trained(runs)
    groups = by_variant(runs)
    points = {name: _point(group) for name, group in groups.items()}
    figure = plotting.new_figure(4.2)
    panels = figure.subplots(1, 2)
    front = _front(np.array([[p[0, 0], p[1, 0]] for p in points.values()]))
    names = list(points)
    corners = np.array([points[names[i]][:, 0] for i in front])
    edge = min(point[0, 0] for point in points.values()) + WORSE
    for axes, enlarged in zip(panels, (False, True)):
        logarithmic(axes)
        axes.step(*corners.T, where="post", color="#bbbbbb", linewidth=1, zorder=0)
        for name, point in points.items():
            healthy = point[1, 0] < HEALTHY and point[0, 0] < edge
            if healthy or not enlarged:
                kind, constant = family(groups[name][0].config["model"])
                _draw_point(axes, kind, constant if healthy == enlarged else "", point, edge)
        axes.set_xlabel("held-out bits/dim")
    panels[0].set_xlim(right=edge + 0.1 * WORSE)
    panels[1].set_xlim(right=edge - 0.3 * WORSE)
    panels[1].set_ylim(5, HEALTHY)
    panels[0].set_ylabel("largest activation of the inverse, τ = 1")
    panels[1].set_title(f"enlarged: below {HEALTHY:g}")
    shown = dict.fromkeys(family(group[0].config["model"])[0] for group in groups.values())
    pens: dict[str, Any] = {"linestyle": "none", "markersize": 5}
    figure.legend(
        [Line2D([], [], color=FAMILIES[n][0], marker=FAMILIES[n][1], **pens) for n in shown],
        list(shown),
        loc="outside upper center",
        ncols=3,
    )
    note(
        figure,
        "Median over seeds; lines from the lowest to the highest. The constant stands beside each "
        f"point. At {power_of_ten(OVERFLOW)}: float32 overflows. Gray: the Pareto front. Runs that "
        "diverged have no point.",
    )
    return figure, {
        **names_and_seeds(runs),
        "bits_per_dim": np.array([_bits(run) for run in runs]),
        "max_activation": np.array([_activation(run) for run in runs]),
        "front": np.array([names[i] for i in front]),
    }


def family(model: Mapping[str, Any]) -> tuple[str, str]:
    """The family of a model's scale, and the constant that tells it from others of it."""
    scale, damped = model["scale"], model.get("damped", False)
    match scale["type"]:
        case "Sigmoid":
            return ("damped nets, no floor" if damped else "sigmoid, no floor (control)"), ""
        case "Additive":
            return "additive", ""
        case "Biased":
            return "sigmoid + b", f"{scale['b']:g}"
        case "Bounded":
            return "sigmoid in (a, 1)", f"{scale['a']:.2g}"
        case "DepthScaled" if scale["steps"] is None:
            if scale.get("one_sided"):
                return "-alpha / depth < log s < 0", f"{scale['alpha']:g}"
            kind = "damped nets, |log s| < alpha / depth" if damped else "|log s| < alpha / depth"
            return kind, f"{scale['alpha']:g}"
        case kind:
            short = {"SoftClamp": "atan ", "TanhExponential": "tanh "}.get(kind, "")
            return "soft clamp, |log s| < alpha", f"{short}{scale['alpha']:.2g}"


def _bits(run: Run) -> float:
    return float((run.summary or {})["bits_per_dim"])


def _activation(run: Run) -> float:
    return float((run.summary or {})["max_activation"]["1"])


def _point(group: Sequence[Run]) -> np.ndarray:
    """Median, lowest and highest of bits/dim and of the largest activation."""
    values = np.array([[_bits(run), _activation(run)] for run in group]).T
    values = np.minimum(np.nan_to_num(values, nan=np.inf), [[np.inf], [OVERFLOW]])
    return np.stack([np.median(values, 1), values.min(1), values.max(1)], axis=1)


def _front(points: np.ndarray) -> list[int]:
    """The rows that no other is at least as good as in both columns, by the first column."""
    best, rows = np.inf, []
    for row in np.lexsort((points[:, 1], points[:, 0])):
        if points[row, 1] < best:
            best = points[row, 1]
            rows.append(int(row))
    return rows


def _draw_point(axes: Axes, name: str, constant: str, point: np.ndarray, edge: float) -> None:
    color, marker = FAMILIES[name]
    (bits, low, high), (activation, least, most) = point
    if bits > edge:
        constant = f"{constant} {bits:.2f} →"
        bits = low = high = edge
    faint: dict[str, Any] = {"color": color, "linewidth": 0.6, "alpha": 0.5, "zorder": 1}
    axes.hlines(activation, low, high, **faint)
    axes.vlines(bits, least, most, **faint)
    axes.plot(bits, activation, color=color, marker=marker, markersize=5, linestyle="none")
    axes.annotate(
        constant,
        (bits, activation),
        xytext=(4, 2) if bits < edge else (-28, 5),
        textcoords="offset points",
        fontsize=6,
        color=color,
    )
