"""What a trained model looks like: a sheet of samples, and the curves of its training."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool

from flowjax_glow.density import sample_pixels_and_finite
from flowjax_glow.runs.load import Trained
from flowjax_glow.runs.results import Run, load_run
from flowjax_glow.types import Pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Which pixels are finite in all channels.
Finite: TypeAlias = Bool[np.ndarray, "count height width"]

COLUMNS, ROWS = 10, 6  # of a sheet
LONGEST = 100  # rows of one with a row for each class
SIDE = 64  # pixels of an image in it, at least


def save_curves(run: Path) -> None:
    """Writes training.png into a run folder."""
    draw_training(load_run(run)).savefig(run / "training.png", dpi=150)


def save_samples(trained: Trained) -> None:
    """Writes samples.png, of samples at temperature 1, into the run folder; says what is lost.

    Of a model with classes a row is of one class.
    """
    rows = min(len(trained.classes), LONGEST) or ROWS
    images, finite = sample_pixels_and_finite(
        trained.flow,
        trained.params,
        jax.random.key(0),
        rows * COLUMNS,
        trained.event_shape,
        n_bits=trained.experiment.n_bits,
        chunk=ROWS * COLUMNS,
        context=np.arange(rows * COLUMNS) // COLUMNS if trained.classes else None,
    )
    print(save_sheet(trained.folder / "samples.png", images, finite, rows))


def save_sheet(
    file: Path, images: Pixels, finite: Finite, rows: int = ROWS, columns: int = COLUMNS
) -> str:
    """Writes the first images as one picture, enlarged to be seen, and returns a line about it.

    Pixels that are not finite are magenta, as in every figure.
    """
    import matplotlib.image  # a third of a second, for this alone

    from flowjax_glow.plotting import block, show

    images, finite = np.asarray(images[: rows * columns]), finite[: rows * columns]
    colors = show(np.where(finite[..., None], images / 255 - 0.5, np.nan))
    shown = np.round(255 * colors).astype(np.uint8)
    times = -(-SIDE // images.shape[1])
    row = ((0, -len(shown) % columns), (0, 0), (0, 0), (0, 0))
    tiles = np.pad(shown, row, constant_values=255).repeat(times, 1).repeat(times, 2)
    edge = ((0, 0), (0, 2), (0, 2), (0, 0))
    matplotlib.image.imsave(file, block(np.pad(tiles, edge, constant_values=255), columns))
    return with_count(file, np.asarray(finite.all(axis=(1, 2))), "such pixels are magenta")


def with_count(file: Path, finite: Bool[np.ndarray, " count"], shown: str) -> str:
    """The file and, if any, how many of its samples are not finite and what they look like."""
    count = int((~finite).sum())
    told = f": {count} of {len(finite)} samples are not finite; {shown}"
    return f"{file}{told if count else ''}"


def draw_training(trained: Run) -> "Figure":
    """The loss, and how the inverse fared, over training."""
    from flowjax_glow import plotting

    with plotting.context():
        figure = plotting.new_figure(2.6)
        loss, inverse = figure.subplots(1, 2)
        _line(loss, trained.metrics, "window_loss", "training, mean of 30 steps")
        _line(loss, trained.metrics, "held_out", "held out", marker="o")
        _line(loss, trained.metrics, "held_out_averaged", "held out, averaged weights", marker="s")
        loss.set(xlabel="step", ylabel="bits/dim")
        loss.legend()
        for name, label in (
            ("latent_error", "error of a sample, there and back"),
            ("image_error", "error of an image, there and back"),
            ("largest_activation", "largest activation"),
        ):
            _line(inverse, trained.metrics, name, label, marker=".")
        inverse.set(
            xlabel="step", yscale="log", title="the inverse, worst of a batch; x: not finite"
        )
        inverse.legend()
    return figure


def _line(axes: "Axes", rows: Sequence[Any], name: str, label: str, **style: Any) -> None:
    """One quantity over steps; a cross at the upper edge where it is not finite."""
    known = [(row["step"], float(row[name])) for row in rows if name in row]
    if not known:
        return
    steps, values = np.array(known).T
    finite = np.isfinite(values)
    below_others = 0.97 - 0.03 * len(axes.lines)
    (line,) = axes.plot(steps, np.where(finite, values, np.nan), label=label, **style)
    edge, crosses = axes.get_xaxis_transform(), np.full(np.sum(~finite), below_others)
    axes.plot(steps[~finite], crosses, "x", color=line.get_color(), transform=edge)
