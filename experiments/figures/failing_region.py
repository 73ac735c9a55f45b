"""How the region grows where the inverse fails: broken samples by noise level over training."""

from collections.abc import Sequence

import numpy as np

from experiments.figures.over_steps import draw_over_steps
from experiments.figures.panels import note
from experiments.figures.selection import Drawing, with_looks
from flowjax_glow.runs.results import Arrays, Run

#: A round trip of latents with a larger relative error is broken.
BROKEN = 1e-2


def draw(runs: Sequence[Run]) -> Drawing:
    """The fraction of samples whose latents do not come back."""
    runs = with_looks(runs)
    figure, panels, arrays = draw_over_steps(runs, _broken, "broken")
    top = max(float(np.nanmax(arrays["broken"])), 0.01)
    panels[0].set_ylim(-0.05 * top, 1.08 * top)
    figure.supylabel("fraction of samples broken")
    note(
        figure,
        f"Broken: the round trip z, image, z has a relative error above {BROKEN:g} or is not "
        "finite. Median over seeds, band: lowest to highest.",
    )
    return figure, arrays


def _broken(look: Arrays) -> np.ndarray:
    return np.mean(~(look["z_error"] <= BROKEN), axis=1)  # NaN is broken too
