"""Where an inverse explodes: the largest activation after each of its sub-layers."""

from collections.abc import Sequence

import numpy as np

from experiments import style
from experiments.figures.panels import (
    OVERFLOW,
    band,
    logarithmic,
    note,
    power_of_ten,
    variant_legend,
)
from experiments.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last,
    last_steps,
    per_run,
)
from flowjax_glow.runs.results import Run


def draw(runs: Sequence[Run]) -> Drawing:
    """A line per variant along the inverse, from the latents on the left to the image."""
    runs = in_order(clipped_at_end(runs))
    figure = style.new_figure(3.2)
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
    largest = np.asarray(last(run.clippings)["sample_max"], float)
    return np.minimum(np.nan_to_num(largest, nan=np.inf), OVERFLOW)


def _by_length(traces: Sequence[np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """Traces of inverses of one length together: models of a variant may differ in depth."""
    lengths = dict.fromkeys(map(len, traces))
    return [(n, np.stack([trace for trace in traces if len(trace) == n])) for n in lengths]
