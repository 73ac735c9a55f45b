"""`flowjax-glow sample`: images of a trained model."""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.progress import Progress

from flowjax_glow.commands.command import OnModels, as_word, check_temperature
from flowjax_glow.commands.labels import chosen_labels
from flowjax_glow.commands.pictures import COLUMNS, LONGEST, ROWS, save_sheet, with_count
from flowjax_glow.context import in_turn
from flowjax_glow.density import sample_pixels_and_finite
from flowjax_glow.errors import check_count, check_seed, expected
from flowjax_glow.files import write_arrays
from flowjax_glow.runs.load import findings_folder, model_paths, trained_models


@dataclass(frozen=True, kw_only=True)
class Sample(OnModels):
    """Draw images from trained models.

    Writes RUN/samples/temperature-T-seed-S.npz with the array `images`, uint8 of shape (count,
    height, width, channels), and a picture of the first ones beside it. More images of the same
    seed begin with the same ones. Pixels that are not finite are black in `images`, where the
    array `finite` of shape (count,) tells of them, and magenta in the picture. Of a model with
    classes the images are of its classes in turn, as the array `labels` tells, and a row of the
    picture is of one class.
    """

    count: int | None = None
    """Images per run; 60 if none, or ten of each class."""

    label: str | None = None
    """Classes by name or number, with commas, to be drawn in turn; all if none."""

    temperature: float = 1.0
    """Scale of the latents: the deviation of the noise that is decoded."""

    seed: int = 0
    """The seed of the latents."""

    averaged: bool = False
    """Use the moving average of the parameters."""

    chunk: int = 64
    """Images per compiled call; another number draws other images."""

    overwrite: bool = False
    """Replace files that are there."""

    def __call__(self) -> None:
        if self.count is not None:
            check_count("--count", self.count)
        check_count("--chunk", self.chunk)
        check_temperature(self.temperature)
        check_seed("--seed", self.seed)
        for path in model_paths(self.run):
            file = self.file_of(findings_folder(path))
            if file.exists() and not self.overwrite:
                raise expected(
                    f"{file}",
                    "no such file yet",
                    got="one",
                    advice="use another --seed, or --overwrite",
                )
        for trained in trained_models(self.run):
            file, classes = self.file_of(trained.folder), chosen_labels(trained, self.label)
            file.parent.mkdir(exist_ok=True, parents=True)
            count = self.count or COLUMNS * (len(classes) or ROWS)
            labels = (
                np.asarray(classes, np.int32)[in_turn(len(classes), count)] if classes else None
            )
            with Progress(console=Console(stderr=True), transient=True) as bars:
                bar = bars.add_task(trained.path.name, total=count)
                images, finite = sample_pixels_and_finite(
                    trained.flow,
                    trained.parameters(self.averaged),
                    jax.random.key(self.seed),
                    count,
                    trained.event_shape,
                    temperature=self.temperature,
                    n_bits=trained.experiment.n_bits,
                    chunk=min(self.chunk, count),
                    on_chunk=lambda done, bar=bar: bars.update(bar, completed=done),
                    context=labels,
                )
            whole = np.asarray(finite.all(axis=(1, 2)))
            arrays = {"images": np.asarray(images), "finite": whole}
            write_arrays(file, arrays if labels is None else {**arrays, "labels": labels})
            print(with_count(file, whole, "they are black where they are not"))
            picture = file.with_suffix(".png")
            if len(classes) < 2:
                print(save_sheet(picture, images, finite))
                continue
            rows = min(len(classes), LONGEST, count)
            columns = max(1, min(COLUMNS, count // len(classes)))
            # the labels are in turn, so those of a row are as many apart as there are classes
            shown = (np.arange(rows)[:, None] + len(classes) * np.arange(columns)).ravel()
            print(save_sheet(picture, images[shown], finite[shown], rows, columns))
            print("rows:", ", ".join(trained.classes[label] for label in classes[:rows]))

    def file_of(self, run: Path) -> Path:
        """What is written into a run folder."""
        averaged = "-averaged" if self.averaged else ""
        label = "" if self.label is None else f"-label-{as_word(self.label)}"
        name = f"temperature-{self.temperature:g}-seed-{self.seed}{averaged}{label}.npz"
        return run / "samples" / name
