"""The figures, one file each: `draw(runs)` gives a figure and the arrays that are drawn in it."""

from pathlib import Path


def draw_all(path: str | Path) -> list[Path]:
    """Draws what has data by now into RUN/figures, see `experiments.figures.drawing.draw_all`."""
    from experiments.figures import drawing  # late: a command's --help shall not wait for it

    return drawing.draw_all(path)
