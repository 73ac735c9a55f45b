"""Samples at several temperatures."""

from collections.abc import Sequence

import numpy as np

from experiments.figures.selection import Drawing, clipped_at_end, last_steps, of_first_seed
from flowjax_glow import plotting
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Run

#: Of the eight there are; the same noise at every temperature.
_SHOWN = 4


def samples(runs: Sequence[Run]) -> Drawing:
    """Four samples of the first seed per variant and temperature."""
    seed, shown = of_first_seed(clipped_at_end(runs))
    files = {name: run.last_clipping() for name, run in shown.items()}
    temperatures = next(iter(files.values()))["temperatures"]
    images = np.stack([arrays["temperature_images"][:, :_SHOWN] for arrays in files.values()])
    blocks = np.stack([[plotting.block(each, 2, gap=1) for each in row] for row in images])
    aspect = images.shape[3] / images.shape[4]
    height = plotting.mosaic_height(len(files), len(temperatures), aspect)
    figure = plotting.new_figure(height + 0.6)
    figure.suptitle(f"Samples by temperature, seed {seed}")
    columns = [f"T = {temperatures[0]:g}", *(f"{each:g}" for each in temperatures[1:])]
    plotting.mosaic(figure.subplots(), blocks, list(files), columns)
    note(
        figure,
        f"After {last_steps([run.clippings for run in shown.values()])}, without a clip; the same "
        "noise at every temperature. Magenta: pixels that are not finite.",
    )
    return figure, {
        "temperatures": temperatures,
        "images": images,
        "image_variants": np.array(list(files)),
        "image_seed": np.array(seed),
    }


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
