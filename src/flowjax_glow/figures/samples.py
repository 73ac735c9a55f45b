"""Samples at several temperatures."""

from collections.abc import Sequence

import numpy as np

from flowjax_glow import plotting
from flowjax_glow.figures.selection import Drawing, clipped_at_end, last_steps, of_first_seed
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
