"""The smallest s after a split against the training step, by noise level."""

from collections.abc import Sequence

import numpy as np

from experiments.figures.densities import FLOOR, default_place, level_name, on_floor
from experiments.figures.over_steps import draw_over_steps
from experiments.figures.panels import note, power_of_ten
from experiments.figures.selection import Drawing, with_looks, with_split
from flowjax_glow.runs.results import Run


def draw(runs: Sequence[Run]) -> Drawing:
    """A panel per variant; the left tail grows where the lines fall."""
    runs = with_split(with_looks(runs))
    figure, panels, arrays = draw_over_steps(
        runs, lambda look: look["s_min"][default_place(look), :-1], "smallest_s"
    )
    for axes in panels:
        on_floor(axes, float(np.nanmin(arrays["smallest_s"])))
    figure.supylabel("smallest s")
    note(
        figure,
        f"Flow step right after a split in generation order, {level_name(runs[0])}; median over "
        f"seeds, band: lowest to highest. What is below {power_of_ten(FLOOR)} is drawn there.",
    )
    return figure, arrays
