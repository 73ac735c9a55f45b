"""`flowjax-glow sample`: images of a trained model."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import Progress

from flowjax_glow.commands.command import OnRuns
from flowjax_glow.density import sample_pixels
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import write_arrays
from flowjax_glow.runs.load import trained_runs
from flowjax_glow.runs.results import run_folders
from flowjax_glow.training import averaged_params

COLUMNS, ROWS = 10, 6  # of the picture
SIDE = 64  # pixels of an image in it, at least


@dataclass(frozen=True, kw_only=True)
class Sample(OnRuns):
    """Draw images from trained models.

    Writes RUN/samples/temperature-T-seed-S.npz with the array `images`, uint8 of shape (count,
    height, width, channels), and a picture of the first ones beside it. More images of the same
    seed begin with the same ones.
    """

    count: int = COLUMNS * ROWS
    """Images per run."""

    temperature: float = 1.0
    """Scale of the latents: the deviation of the noise that is decoded."""

    seed: int = 0
    """Of the latents."""

    averaged: bool = False
    """Use the moving average of the parameters."""

    chunk: int = 64
    """Images per compiled call."""

    def __call__(self) -> None:
        check_count("--count", self.count)
        check_count("--chunk", self.chunk)
        if not self.temperature >= 0:
            raise expected(
                "--temperature", "a number from 0", got=self.temperature, advice="1 is the model's"
            )
        for run in run_folders(self.run):
            if self.file_of(run).exists():
                raise expected(
                    f"{self.file_of(run)}",
                    "no such file yet",
                    got="one",
                    advice="move it away, or use another --seed",
                )
        for trained in trained_runs(self.run):
            file = self.file_of(trained.folder)
            with Progress(console=Console(stderr=True), transient=True) as bars:
                bar = bars.add_task(trained.folder.name, total=self.count)
                drawn = sample_pixels(
                    trained.flow,
                    averaged_params(trained.state) if self.averaged else trained.state.params,
                    jax.random.key(self.seed),
                    self.count,
                    trained.source.shape,
                    temperature=self.temperature,
                    n_bits=trained.experiment.n_bits,
                    chunk=min(self.chunk, self.count),
                    on_chunk=lambda done, bar=bar: bars.update(bar, completed=done),
                )
            images = np.asarray(drawn)
            file.parent.mkdir(exist_ok=True)
            write_arrays(file, {"images": images})
            save_picture(file.with_suffix(".png"), images[: COLUMNS * ROWS])
            print(file)

    def file_of(self, run: Path) -> Path:
        """What is written into a run folder."""
        averaged = "-averaged" if self.averaged else ""
        name = f"temperature-{self.temperature:g}-seed-{self.seed}{averaged}.npz"
        return run / "samples" / name


def save_picture(file: Path, images: np.ndarray) -> None:
    """Writes images (count, height, width, channels) as one, enlarged to be seen."""
    import matplotlib.image  # a third of a second, for this alone

    from flowjax_glow.plotting import block

    times = -(-SIDE // images.shape[1])
    tiles = np.full((ROWS * COLUMNS, *images.shape[1:3], 3), 255, np.uint8)
    tiles[: len(images)] = images  # one channel fills all three
    tiles = tiles[: -(-len(images) // COLUMNS) * COLUMNS]
    edge = ((0, 0), (0, 2), (0, 2), (0, 0))
    enlarged = np.pad(tiles.repeat(times, 1).repeat(times, 2), edge, constant_values=255)
    matplotlib.image.imsave(file, block(enlarged, COLUMNS))
