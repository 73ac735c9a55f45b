"""Many models beside each other: a line each, or a point each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flowjax_glow import plotting
from flowjax_glow.figures.labels import label_points
from flowjax_glow.figures.panels import OVERFLOW, logarithmic, power_of_ten
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    last_steps,
    names_and_seeds,
    of_first_seed,
    trained,
)
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run
from flowjax_glow.runs.summary import share_lost

#: Larger activations, and what is not finite, are drawn here.
CEILING = 1e7


def cells(runs: Sequence[Run], order: Sequence[str]) -> Drawing:
    """A point per seed and a bar at their median; the rows in the order given, from the top."""
    runs, columns = measured(runs, order)
    names = list(dict.fromkeys(run.variant for run in runs))
    figure = plotting.new_figure(1.0 + 0.21 * len(names))
    panels = figure.subplots(1, len(columns), sharey=True)
    places = np.array([names.index(run.variant) for run in runs])
    for axes, (label, values) in zip(panels, columns.items()):
        _draw_column(axes, places, up_to_ceiling(values))
        axes.set_xlabel(label)
    logarithmic(panels[2], "x")
    panels[0].locator_params(axis="x", nbins=4)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    note(
        figure,
        f"A point per seed, bars at their median. Activations above {power_of_ten(CEILING)} are "
        "drawn there; runs that diverged have no point.",
    )
    return figure, {**names_and_seeds(runs), **columns}


def measured(runs: Sequence[Run], order: Sequence[str]) -> tuple[list[Run], dict[str, np.ndarray]]:
    """The trained runs by variant in the order given, and arrays (runs,) by their labels."""
    runs = trained(runs)
    runs = [run for name in order for run in runs if run.variant == name]
    summaries = [run.summary or {} for run in runs]
    columns = {
        "held-out bits/dim": [float(each["bits_per_dim"]) for each in summaries],
        "samples lost, τ = 1, %": [100 * share_lost(each) for each in summaries],
        "largest activation, τ = 1": [float(each["max_activation"]["1"]) for each in summaries],
    }
    return runs, {name: np.array(values) for name, values in columns.items()}


def up_to_ceiling(values: np.ndarray) -> np.ndarray:
    """Values as they are drawn: those above `CEILING`, or not finite, at it."""
    return np.minimum(np.nan_to_num(values, nan=np.inf), CEILING)


def _draw_column(axes: Axes, places: np.ndarray, values: np.ndarray) -> None:
    axes.plot(values, places, color="#0072B2", marker="o", markersize=3, linestyle="none")
    for place in np.unique(places):
        middle = np.median(values[places == place])
        axes.vlines(middle, place - 0.35, place + 0.35, color="#0072B2", linewidth=1.2)
    axes.grid(visible=True, axis="y")


#: What the inverses of trained models stay below where all is well: it has a panel of its own.
HEALTHY = 2e3

#: Likelihoods worse than the best by more than this are drawn at the edge, with their number.
WORSE = 0.06

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
    "damped nets, no floor": ("#882255", "<"),
}


def scales(runs: Sequence[Run]) -> Drawing:
    """Median over seeds, with lines from the lowest to the highest seed; the front in gray."""
    runs = trained(runs)
    groups = by_variant(runs)
    kinds = {name: family(group[0].config["model"]) for name, group in groups.items()}
    points = {name: _point(group) for name, group in groups.items()}
    front = [list(points)[i] for i in _front(np.array([p[:, 0] for p in points.values()]))]
    edge = min(point[0, 0] for point in points.values()) + WORSE
    halves = _halves(points)
    figure = plotting.new_figure(4.6)
    ratios = [2, 3][-len(halves) :]  # most of the models are in the second
    panels = figure.subplots(1, len(halves), squeeze=False, width_ratios=ratios)[0]
    for axes, (title, names) in zip(panels, halves.items()):
        for name in names:
            _draw_point(axes, kinds[name][0], points[name], edge)
        axes.set(title=title, xlabel="held-out bits/dim")
        logarithmic(axes)
    panels[0].set_ylabel("largest activation of the inverse, τ = 1")
    _legend(figure, [kind for kind, _ in kinds.values()])
    note(
        figure,
        "Median over seeds; lines from the lowest to the highest. The constant stands beside each "
        f"point. At {power_of_ten(OVERFLOW)}: float32 overflows. Gray: the Pareto front. At the "
        "right edge: worse likelihoods, in numbers. Runs that diverged have no point.",
    )
    figure.draw_without_rendering()  # labels are set where all else is in place
    for axes, names in zip(panels, halves.values()):
        own = {name: points[name] for name in names}
        _draw_labels(axes, own, [kinds[name] for name in names], edge)
        _draw_front(axes, [own[name] for name in front if name in own])
    return figure, {
        **names_and_seeds(runs),
        "bits_per_dim": np.array([_bits(run) for run in runs]),
        "max_activation": np.array([_activation(run) for run in runs]),
        "front": np.array(front),
    }


def _halves(points: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """The models of each panel by its title, without a panel that has none."""
    above = [name for name, point in points.items() if point[1, 0] > HEALTHY]
    halves = {
        f"largest activation above {HEALTHY:g}": above,
        f"largest activation up to {HEALTHY:g}": [name for name in points if name not in above],
    }
    return {title: names for title, names in halves.items() if names}


def _draw_labels(
    axes: Axes, points: Mapping[str, np.ndarray], kinds: Sequence[tuple[str, str]], edge: float
) -> None:
    bits = [point[0, 0] for point in points.values()]
    labels = [_label(constant, each, edge) for (_, constant), each in zip(kinds, bits)]
    colors = [FAMILIES[kind][0] for kind, _ in kinds]
    places = _within(np.array(list(points.values())), edge)
    label_points(axes, places[:, :, 0], labels, colors, _spans(places))


def _draw_front(axes: Axes, points: Sequence[np.ndarray]) -> None:
    axes.autoscale(enable=False)
    corners = np.reshape([point[:, 0] for point in points], (-1, 2))
    axes.step(*corners.T, where="post", color="#bbbbbb", zorder=0)


def _legend(figure: Figure, kinds: Sequence[str]) -> None:
    pens = {kind: FAMILIES[kind] for kind in dict.fromkeys(kinds)}
    lines = [
        Line2D([], [], color=color, marker=marker, markersize=5, linestyle="none")
        for color, marker in pens.values()
    ]
    plotting.legend(figure, lines, list(pens))


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
            return "sigmoid in (a, 1)", f"{scale['a']:.3g}"
        case "DepthScaled" if scale["steps"] is None:
            if scale.get("one_sided"):
                return "-alpha / depth < log s < 0", f"{scale['alpha']:g}"
            kind = "damped nets, |log s| < alpha / depth" if damped else "|log s| < alpha / depth"
            return kind, f"{scale['alpha']:g}"
        case kind:
            short = {"SoftClamp": "atan ", "TanhExponential": "tanh "}.get(kind, "")
            return "soft clamp, |log s| < alpha", f"{short}{scale['alpha']:.3g}"


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


def _draw_point(axes: Axes, name: str, point: np.ndarray, edge: float) -> None:
    color, marker = FAMILIES[name]
    (bits, low, high), (activation, least, most) = _within(point, edge)
    faint: dict[str, Any] = {"color": color, "linewidth": 0.6, "alpha": 0.5, "zorder": 1}
    axes.hlines(activation, low, high, **faint)
    axes.vlines(bits, least, most, **faint)
    point_pen = {"color": color, "marker": marker, "markersize": 6.5, "markeredgecolor": "white"}
    axes.plot(bits, activation, markeredgewidth=0.5, **point_pen)


def _within(points: np.ndarray, edge: float) -> np.ndarray:
    """Points with likelihoods up to the edge."""
    limits = np.array([[edge], [np.inf]])
    return np.minimum(points, limits)


def _label(constant: str, bits: float, edge: float) -> str:
    return constant if bits <= edge else f"{constant} {bits:.2f} →".strip()


def _spans(points: np.ndarray) -> np.ndarray:
    """The lines of points (points, 2, 3), as `label_points` takes them."""
    (bits, low, high), (activation, least, most) = np.moveaxis(points, 0, -1)
    across = np.stack([low, activation, high, activation], axis=1)
    along = np.stack([bits, least, bits, most], axis=1)
    return np.concatenate([across, along])


def control_and_damped(runs: Sequence[Run]) -> Drawing:
    """Samples at temperature 1 of GLOW as it is and of the damped one, from the same noise.

    Where neither is there, of the first variant.
    """
    seed, shown = of_first_seed(clipped_at_end(runs))
    names = [name for name in ("control", "damped") if name in shown] or list(shown)[:1]
    files = {name: shown[name].last_clipping() for name in names}
    images = np.stack([arrays["temperature_images"][-1] for arrays in files.values()])
    _, count, height, width, _ = images.shape
    figure = plotting.new_figure(plotting.mosaic_height(len(names), count, height / width) + 0.2)
    rows = [{"control": "GLOW", "damped": "GLOW, damped"}.get(name, name) for name in names]
    plotting.mosaic(figure.subplots(), images, rows, [""] * count)
    steps = last_steps([shown[name].clippings for name in names])
    plotting.note(
        figure,
        f"Samples at temperature 1 from the same noise, seed {seed}, after {steps}. Magenta: "
        "pixels that are not finite.",
    )
    return figure, {"images": images, "variants": np.array(list(files)), "seed": np.array(seed)}
