"""The figures that every run has, and how figures get into files."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

from flowjax_glow import plotting
from flowjax_glow.figures import (
    along_depth,
    clipping,
    likelihood,
    over_training,
    reconstructions,
    samples,
    scales,
)
from flowjax_glow.figures.selection import Drawing, NoDataError
from flowjax_glow.runs.results import Run

#: Draws the runs that it is given, or says with `NoDataError` what they lack.
Draw: TypeAlias = Callable[[Sequence[Run]], Drawing]

#: The figures of every run, by the name of their files.
FIGURES: dict[str, Draw] = {
    "training_loss": likelihood.training_loss,
    "held_out": likelihood.held_out,
    "samples": samples.samples,
    "largest_activation": over_training.largest_activation,
    "failing_region": over_training.failing_region,
    "origin": over_training.origin,
    "activation_trace": along_depth.activation_trace,
    "decoded_zero": clipping.decoded_zero,
    "decoded_zero_full": partial(clipping.decoded_zero, full=True),
    "decoded_sample": clipping.decoded_sample,
    "reconstructions": reconstructions.reconstructions,
    "reconstructions_full": partial(reconstructions.reconstructions, full=True),
    "scale_densities": scales.densities,
    "scale_tails": scales.tail_quantiles,
    "scale_growth": scales.smallest_over_training,
}


def draw_figures(
    figures: Mapping[str, tuple[Draw, Sequence[Run]]], folder: str | Path
) -> list[Path]:
    """Draws into a folder whatever has data by now; what has none is printed and skipped.

    Never trains and needs no device.

    Args:
        figures: how to draw, and what, by the name of the files.
        folder: where the files go.

    Returns:
        The files: PNG, SVG and the arrays that are drawn (.npz) of each figure.
    """
    files: list[Path] = []
    for name, (draw, runs) in figures.items():
        try:
            with plotting.context():
                figure, arrays = draw(runs)
        except NoDataError as reason:
            print(f"{name}: skipped, {reason}")
            continue
        files += plotting.save(figure, Path(folder), name, arrays)
    return files
