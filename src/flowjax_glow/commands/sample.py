"""`flowjax-glow sample`: images of a trained model."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import Progress

from flowjax_glow.commands.command import OnModels, check_temperature
from flowjax_glow.commands.pictures import COLUMNS, ROWS, save_sheet, with_count
from flowjax_glow.density import sample_pixels_and_finite
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import write_arrays
from flowjax_glow.runs.load import findings_folder, model_paths, trained_models


@dataclass(frozen=True, kw_only=True)
class Sample(OnModels):
    """Draw images from trained models.

    Writes RUN/samples/temperature-T-seed-S.npz with the array `images`, uint8 of shape (count,
    height, width, channels), and a picture of the first ones beside it. More images of the same
    seed begin with the same ones. Pixels that are not finite are black in `images`, where the
    array `finite` of shape (count,) tells of them, and magenta in the picture.
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
        check_temperature(self.temperature)
        for path in model_paths(self.run):
            file = self.file_of(findings_folder(path))
            if file.exists():
                raise expected(
                    f"{file}",
                    "no such file yet",
                    got="one",
                    advice="move it away, or use another --seed",
                )
        for trained in trained_models(self.run):
            file = self.file_of(trained.folder)
            with Progress(console=Console(stderr=True), transient=True) as bars:
                bar = bars.add_task(trained.path.name, total=self.count)
                images, finite = sample_pixels_and_finite(
                    trained.flow,
                    trained.parameters(self.averaged),
                    jax.random.key(self.seed),
                    self.count,
                    trained.event_shape,
                    temperature=self.temperature,
                    n_bits=trained.experiment.n_bits,
                    chunk=min(self.chunk, self.count),
                    on_chunk=lambda done, bar=bar: bars.update(bar, completed=done),
                )
            whole = np.asarray(finite.all(axis=(1, 2)))
            file.parent.mkdir(exist_ok=True, parents=True)
            write_arrays(file, {"images": np.asarray(images), "finite": whole})
            print(with_count(file, whole, "they are black where they are not"))
            print(save_sheet(file.with_suffix(".png"), images, finite))

    def file_of(self, run: Path) -> Path:
        """What is written into a run folder."""
        averaged = "-averaged" if self.averaged else ""
        name = f"temperature-{self.temperature:g}-seed-{self.seed}{averaged}.npz"
        return run / "samples" / name
