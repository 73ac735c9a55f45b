"""The largest activation of the inverse by noise level over training."""

from collections.abc import Sequence

import numpy as np

from experiments.figures.over_steps import draw_over_steps
from experiments.figures.panels import logarithmic, note, power_of_ten
from experiments.figures.selection import Drawing, with_looks
from flowjax_glow.runs.results import Arrays, Run

#: Larger ones, and those that are not finite, are drawn here.
CEILING = 1e8


def draw(runs: Sequence[Run]) -> Drawing:
    """The largest activation over all samples and sub-layers."""
    runs = with_looks(runs)
    figure, panels, arrays = draw_over_steps(runs, _largest, "largest_activation", CEILING)
    logarithmic(panels[0])
    if np.nanmax(arrays["largest_activation"]) >= CEILING:
        panels[0].set_ylim(top=2 * CEILING)
    figure.supylabel("largest |activation|")
    note(
        figure,
        "Over all samples and all sub-layers of the inverse, without a clip. Values above "
        f"{power_of_ten(CEILING)} or not finite are drawn there. Median over seeds, "
        "band: lowest to highest.",
    )
    return figure, arrays


def _largest(look: Arrays) -> np.ndarray:
    worst = look["max_activation"].max(1)
    return np.where(np.isnan(worst), np.inf, worst)
