"""All figures of a sweep folder or a run folder."""

from collections.abc import Callable, Sequence
from pathlib import Path

from experiments import style
from experiments.figures import (
    failing_region,
    figure1,
    figure1_samples,
    figure3,
    figure3_growth,
    figure3_tails,
    figure4,
    figure5,
    held_out,
    largest_activation,
    samples,
)
from experiments.figures.selection import Drawing, NoDataError
from experiments.results import Run, load_sweep

FIGURES: dict[str, Callable[[Sequence[Run]], Drawing]] = {
    "figure1": figure1.draw,
    "figure1_samples": figure1_samples.draw,
    "figure3": figure3.draw,
    "figure3_tails": figure3_tails.draw,
    "figure3_growth": figure3_growth.draw,
    "figure4": figure4.draw,
    "figure5": figure5.draw,
    "failing_region": failing_region.draw,
    "largest_activation": largest_activation.draw,
    "samples": samples.draw,
    "held_out": held_out.draw,
}


def draw_all(path: str | Path) -> list[Path]:
    """Draws into the folder ``figures`` of a sweep or run whatever has data by now.

    Never trains and needs no device. What cannot be drawn yet is printed and skipped.

    Args:
        path: a sweep folder or a run folder.

    Returns:
        The files: PNG, SVG and the arrays that are drawn (.npz) of each figure.

    Raises:
        ValueError: if `path` is no such folder, or a file in it is broken.
    """
    runs = load_sweep(path)
    files: list[Path] = []
    for name, draw in FIGURES.items():
        try:
            with style.context():
                figure, arrays = draw(runs)
        except NoDataError as reason:
            print(f"{name}: skipped, {reason}")
            continue
        files += style.save(figure, Path(path) / "figures", name, arrays)
    return files
