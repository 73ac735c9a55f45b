"""Activations along the inverse, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowjax_glow import plotting
from flowjax_glow.figures import style
from flowjax_glow.figures.panels import (
    OVERFLOW,
    band,
    logarithmic,
    power_of_ten,
    variant_legend,
)
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    most_layers,
    per_run,
)
from flowjax_glow.layer_axis import flow_steps, marks, name_layers
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run


def activation_trace(runs: Sequence[Run]) -> Drawing:
    """A line per variant along the inverse, from the latents on the left to the image."""
    runs = in_order(clipped_at_end(runs))
    figure = plotting.new_figure(3.4)
    axes = figure.subplots()
    logarithmic(axes)
    for index, (variant, group) in enumerate(by_variant(runs).items()):
        for layers, values in _by_layers(group).items():
            pen: dict[str, Any] = style.pen(variant, marker=True)
            pen["markevery"] = marks(index, layers)
            band(axes, flow_steps(layers), np.stack(values), **pen)
    name_layers(axes, most_layers(runs))
    axes.set_ylabel("largest activation, τ = 1")
    variant_legend(figure, list(by_variant(runs)), marker=True)
    note(
        figure,
        f"Over the samples of a clipping, after {last_steps([run.clippings for run in runs])}, no "
        "clip. Line: median over seeds, band: lowest to highest; markers at few layers. At "
        f"{power_of_ten(OVERFLOW)}: float32 overflows.",
    )
    return figure, per_run("largest", runs, [_trace(run) for run in runs])


def _trace(run: Run) -> np.ndarray:
    largest = np.asarray(run.last_clipping()["sample_max"], float)
    return np.minimum(np.nan_to_num(largest, nan=np.inf), OVERFLOW)


def _by_layers(runs: Sequence[Run]) -> dict[tuple[str, ...], list[np.ndarray]]:
    """Traces by the layers of their model: those of a variant may differ in depth."""
    found: dict[tuple[str, ...], list[np.ndarray]] = {}
    for run in runs:
        found.setdefault(tuple(run.layers()), []).append(_trace(run))
    return found
