"""`flowjax-glow explore`: what lies between images, and in the directions of attributes."""

import math
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.commands.command import OnModels, name_with_options
from flowjax_glow.commands.diagnose import parse_taus
from flowjax_glow.commands.labels import label_of
from flowjax_glow.commands.sheets import (
    Context,
    Decoder,
    Sheet,
    along,
    at_labels,
    picture,
    reconstructions,
    styles,
    ways,
)
from flowjax_glow.context import in_turn
from flowjax_glow.data.indexed import held_out_labelled
from flowjax_glow.data.source import Labels
from flowjax_glow.density import encode, freeze, sample_latents
from flowjax_glow.diagnostics.chunks import in_given_chunks
from flowjax_glow.errors import check_count, check_seed, expected
from flowjax_glow.files import write_arrays
from flowjax_glow.latents import latent_direction
from flowjax_glow.pixels import as_events
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.load import Trained, trained_models
from flowjax_glow.types import Latents, Params, Pixels


@dataclass(frozen=True, kw_only=True)
class Explore(OnModels):
    """Draw sheets of what trained models make of images and of noise.

    Writes into RUN/explore/STEP, to which options other than the defaults are joined:
    reconstructions, straight and spherical ways between images, samples by temperature, images
    with the coarsest latents of one and the finer ones of another, and, with --attribute or with
    --having and --lacking, images moved along the direction of an attribute. Of a model with
    classes images are at their own labels, on ways at a mixture of both, samples at the labels in
    turn, and a sheet more has the latents of every image decoded at every label, at most twelve.
    Each sheet is a PNG, and all are in arrays.npz: floats, as the flow gives them, of shape (rows,
    columns, height, width, channels). Pixels that are not finite are NaN there and magenta in the
    pictures.
    """

    count: int = 4
    """Held-out images: rows of the sheets."""

    columns: int = 7
    """Images in a row, of those on a way."""

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    temperatures: str = "0,0.25,0.5,0.7,0.85,1"
    """The temperatures of the sheet of samples, with commas."""

    attribute: str | None = None
    """Two classes of the data set, as 3:8: the direction from images of one to those of the
    other."""

    having: str | None = None
    """A data set of images with an attribute, as folder:SMILING."""

    lacking: str | None = None
    """A data set of images without it."""

    examples: int | None = None
    """Images of each of these two kinds; 256, or all of a data set that has fewer."""

    strength: float = 1.0
    """How far an attribute is added and taken away, times the way between both kinds."""

    seed: int = 0
    """The seed of the samples."""

    def __call__(self) -> None:
        for name in ("count", "columns", "examples"):
            if (number := getattr(self, name)) is not None:
                check_count(f"--{name}", number)
        parse_taus(self.temperatures, "--temperatures")
        check_seed("--seed", self.seed)
        if (self.having is None) != (self.lacking is None):
            raise expected(
                "--having and --lacking", "both or neither", got="one", advice="name both"
            )
        if self.attribute is not None:
            self._check_attribute(self.attribute)
        if not math.isfinite(self.strength):
            raise expected("--strength", "a finite number", got=self.strength, advice="1 is usual")
        keep_compiled_programs()
        for trained in trained_models(self.run):
            folder = trained.folder / "explore" / name_with_options(self, f"{trained.step:06}")
            folder.mkdir(exist_ok=True, parents=True)
            sheets = self.sheets(trained)
            write_arrays(folder / "arrays.npz", {sheet.name: sheet.images for sheet in sheets})
            for sheet in sheets:
                picture(sheet).savefig(folder / f"{sheet.name}.png", dpi=150)
            names = ", ".join(f"{sheet.name}.png" for sheet in sheets)
            print(f"{trained.path}: {names}, arrays.npz\n  {folder}")

    def _check_attribute(self, text: str) -> None:
        if self.having is not None or text.count(":") != 1:
            raise expected(
                "--attribute",
                "two classes as 3:8, and no --having beside it",
                got=repr(text) if self.having is None else "both",
                advice="separate their names or numbers by a colon",
            )

    def sheets(self, trained: Trained) -> list[Sheet]:
        """All of a model's."""
        flow, params = trained.flow, freeze(trained.flow, trained.params)
        n_bits = trained.experiment.n_bits
        pixels, labels = trained.labelled_images(self.data, self.count)
        encoded = partial(_encoded, flow, params, n_bits)
        decoder, z = Decoder(flow, params), encoded(pixels, labels)
        rows = _one_hot(trained, labels)
        found = [reconstructions(decoder, as_events(pixels, n_bits=n_bits), z, rows)]
        found += ways(decoder, z, rows, self.columns)
        found.append(self._samples(decoder, trained))
        if len(jax.tree.leaves(z)) > 1:
            found.append(styles(decoder, z, rows))
        if trained.classes:
            found.append(at_labels(decoder, z, trained.classes))
        if sides := self._sides(trained):
            direction = latent_direction(*(encoded(*side) for side in sides))
            amounts = np.linspace(-self.strength, self.strength, self.columns)
            found.append(along(decoder, z, rows, direction, amounts))
        return found

    def _sides(self, trained: Trained) -> list[tuple[Pixels, Labels | None]]:
        """Images with the attribute and without it, if one was asked for, and their labels."""
        if self.having is not None and self.lacking is not None:
            names = (self.having, self.lacking)
            return [trained.labelled_images(name, self.examples) for name in names]
        if self.attribute is None:
            return []
        source = trained.source_called(self.data)
        if not source.classes:
            got, advice = (
                f"{source.name}, which has none",
                "name two data sets: --having, --lacking",
            )
            raise expected("--attribute", "images with labels", got=got, advice=advice)
        lacking, having = (
            label_of("--attribute", name.strip(), source.classes)
            for name in self.attribute.split(":")
        )
        if lacking == having:
            raise expected(
                "--attribute", "two classes", got=repr(self.attribute), advice="name another one"
            )
        sides = [held_out_labelled(source, self.examples, label=of) for of in (having, lacking)]
        return [(images, labels if trained.classes else None) for images, labels in sides]

    def _samples(self, decoder: Decoder, trained: Trained) -> Sheet:
        """The same noise at every temperature."""
        levels, shape = (
            parse_taus(self.temperatures, "--temperatures"),
            (self.count, *trained.event_shape),
        )
        classes = len(trained.classes)
        rows = _one_hot(trained, in_turn(classes, self.count)) if classes else None
        given = trained.flow.given(decoder.params, rows)
        noise = jax.device_get(
            sample_latents(trained.flow, given, jax.random.key(self.seed), shape)
        )
        columns = [jax.tree.map(lambda leaf: tau * leaf, noise) for tau in levels]  # noqa: B023
        return Sheet(
            "temperatures",
            "Samples by temperature: a row is the same noise",
            decoder.columns(columns, [rows] * len(columns)),
            [f"sample {row}" for row in range(self.count)],
            [f"{tau:g}" for tau in levels],
        )


def _one_hot(trained: Trained, labels: Labels | None) -> Context:
    """Rows of floats, which can be mixed."""
    return None if labels is None else np.eye(len(trained.classes), dtype=np.float32)[labels]


def _encoded(
    flow: Bijector, params: Params, n_bits: int, images: Pixels, labels: Labels | None
) -> Latents:
    given = flow.given(params, labels)
    return in_given_chunks(lambda own, part: encode(flow, own, part, n_bits=n_bits), given, images)
