"""`flowjax-glow explore`: what lies between images, and in the directions of attributes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from flowjax_glow.bijector import Bijector
from flowjax_glow.commands.command import OnModels, name_with_options
from flowjax_glow.commands.diagnose import parse_taus
from flowjax_glow.density import encode, freeze, sample_latents
from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.effort import WELL
from flowjax_glow.errors import check_count, expected
from flowjax_glow.files import write_arrays
from flowjax_glow.latents import interpolate, latent_direction
from flowjax_glow.pixels import as_events
from flowjax_glow.runs.compilation import keep_compiled_programs
from flowjax_glow.runs.load import Trained, trained_models
from flowjax_glow.types import Event, Latents, Params, Pixels, Tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Sheet(NamedTuple):
    """Rows and columns of images, ``(rows, columns, height, width, channels)``, and their names."""

    name: str
    title: str
    images: np.ndarray
    rows: list[str]
    columns: list[str]


@dataclass(frozen=True, kw_only=True)
class Explore(OnModels):
    """Draw sheets of what trained models make of images and of noise.

    Writes into RUN/explore/STEP, to which options other than the defaults are joined:
    reconstructions, straight and spherical ways between images, samples by temperature, images
    with the coarsest latents of one and the finer ones of another, and, with --having and
    --lacking, images moved along the direction of an attribute. Each sheet is a PNG, and all are
    in arrays.npz: floats, as the flow gives them, of shape (rows, columns, height, width,
    channels). Pixels that are not finite are NaN there and magenta in the pictures.
    """

    images: int = 4
    """Held-out images: rows of the sheets."""

    columns: int = 7
    """Images in a row, of those on a way."""

    data: str | None = None
    """A data set, as `train` takes it; the model's own if none."""

    temperatures: str = "0,0.25,0.5,0.7,0.85,1"
    """Of the sheet of samples, with commas."""

    having: str | None = None
    """A data set of images with an attribute, as folder:SMILING."""

    lacking: str | None = None
    """A data set of images without it."""

    examples: int | None = None
    """Images of each of these two; 256, or all of a data set that has fewer."""

    strength: float = 1.0
    """How far an attribute is added and taken away, times the way between both kinds."""

    seed: int = 0
    """Of the samples."""

    def __call__(self) -> None:
        for name in ("images", "columns", "examples"):
            if (count := getattr(self, name)) is not None:
                check_count(f"--{name}", count)
        parse_taus(self.temperatures, "--temperatures")
        if (self.having is None) != (self.lacking is None):
            raise expected(
                "--having and --lacking", "both or neither", got="one", advice="name both"
            )
        if not math.isfinite(self.strength):
            raise expected("--strength", "a finite number", got=self.strength, advice="1 is usual")
        keep_compiled_programs()
        for trained in trained_models(self.run):
            folder = trained.folder / "explore" / name_with_options(self, f"{trained.step:06}")
            sheets = self.sheets(trained)
            folder.mkdir(exist_ok=True, parents=True)
            write_arrays(folder / "arrays.npz", {sheet.name: sheet.images for sheet in sheets})
            for sheet in sheets:
                picture(sheet).savefig(folder / f"{sheet.name}.png", dpi=150)
            names = ", ".join(f"{sheet.name}.png" for sheet in sheets)
            print(f"{trained.path.name}: {names}, arrays.npz\n  {folder}")

    def sheets(self, trained: Trained) -> list[Sheet]:
        """All of a model's."""
        flow, params = trained.flow, freeze(trained.flow, trained.params)
        n_bits = trained.experiment.n_bits
        pixels = trained.images(self.data, self.images)
        encoded = partial(_encoded, flow, params, n_bits)
        decoder, z = Decoder(flow, params), encoded(pixels)
        found = [reconstructions(decoder, as_events(pixels, n_bits=n_bits), z)]
        found += ways(decoder, z, self.columns)
        found.append(self._samples(decoder, trained))
        if len(jax.tree.leaves(z)) > 1:
            found.append(styles(decoder, z))
        if self.having is not None and self.lacking is not None:
            sides = (
                encoded(trained.images(name, self.examples)) for name in (self.having, self.lacking)
            )
            amounts = np.linspace(-self.strength, self.strength, self.columns)
            found.append(along(decoder, z, latent_direction(*sides), amounts))
        return found

    def _samples(self, decoder: "Decoder", trained: Trained) -> Sheet:
        """The same noise at every temperature."""
        levels, shape = (
            parse_taus(self.temperatures, "--temperatures"),
            (self.images, *trained.event_shape),
        )
        noise = jax.device_get(
            sample_latents(trained.flow, decoder.params, jax.random.key(self.seed), shape)
        )
        columns = [jax.tree.map(lambda leaf: tau * leaf, noise) for tau in levels]  # noqa: B023
        return Sheet(
            "temperatures",
            "Samples by temperature: a row is the same noise",
            decoder.columns(columns),
            [f"sample {row}" for row in range(self.images)],
            [f"{tau:g}" for tau in levels],
        )


@dataclass(frozen=True)
class Decoder:
    """Decodes sheets, many images by one program."""

    flow: Bijector
    params: Params

    def columns(self, columns: Sequence[Latents]) -> np.ndarray:
        """Of the latents of each column: images (rows, columns, height, width, channels)."""
        rows = len(jax.tree.leaves(columns[0])[0])
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *columns)
        x = in_chunks(lambda part: _decoded(self.flow, self.params, part), together)
        x = np.where(np.isfinite(x), x, np.nan)
        return x.reshape(len(columns), rows, *x.shape[1:]).swapaxes(0, 1)


def reconstructions(decoder: Decoder, x: Event, z: Latents) -> Sheet:
    """Images, and what comes back of them."""
    back = decoder.columns([z])
    return Sheet(
        "reconstructions",
        "Held-out images, and what comes back of their latents",
        np.concatenate([np.asarray(x)[:, None], back], axis=1),
        _numbered(len(back)),
        ["image", "encoded and decoded"],
    )


def ways(decoder: Decoder, z: Latents, columns: int) -> Iterator[Sheet]:
    """From every image to the next, straight and on a circle."""
    following = jax.tree.map(lambda leaf: np.roll(leaf, -1, axis=0), z)
    shares = np.linspace(0, 1, columns)
    for name, spherical in (("straight", False), ("spherical", True)):
        latents = [
            jax.device_get(_between(z, following, share, spherical=spherical)) for share in shares
        ]
        images = decoder.columns(latents)
        yield Sheet(
            f"{name}-ways",
            f"From every held-out image to the next, {name} through the latents",
            images,
            [f"{row} to {(row + 1) % len(images)}" for row in range(len(images))],
            [f"{share:.2g}" for share in shares],
        )


def styles(decoder: Decoder, z: Latents) -> Sheet:
    """The coarsest latents of the row's image, the finer ones of the column's."""
    *finer, coarsest = z
    count = len(coarsest)
    images = decoder.columns(
        [
            (*(np.repeat(leaf[column : column + 1], count, 0) for leaf in finer), coarsest)
            for column in range(count)
        ]
    )
    names = _numbered(count)
    title = "Coarsest latents of the row's image, finer ones of the column's"
    return Sheet("styles", title, images, names, names)


def along(decoder: Decoder, z: Latents, direction: Tree, amounts: np.ndarray) -> Sheet:
    """Images moved by so much of a direction."""
    columns = [
        jax.tree.map(lambda leaf, step: np.asarray(leaf + amount * step), z, direction)  # noqa: B023
        for amount in amounts.astype(np.float32)
    ]
    images = decoder.columns(columns)
    names = [f"{amount:+.2g}" for amount in amounts]
    title = "Held-out images, moved by so much from those lacking towards those having"
    return Sheet("attribute", title, images, _numbered(len(images)), names)


def picture(sheet: Sheet) -> "Figure":
    """A sheet with its names."""
    from flowjax_glow import plotting  # a third of a second

    with plotting.context():
        figure, axes = plotting.figure_with_mosaic(sheet.images.shape, 0.2, captions=False)
        figure.subfigs[0].suptitle(sheet.title)
        plotting.mosaic(axes, sheet.images, sheet.rows, sheet.columns)
    return figure


def _numbered(count: int) -> list[str]:
    return [f"image {row}" for row in range(count)]


def _encoded(flow: Bijector, params: Params, n_bits: int, images: Pixels) -> Latents:
    return in_chunks(lambda part: encode(flow, params, part, n_bits=n_bits), images)


_between = jax.jit(interpolate, static_argnames="spherical")


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def _decoded(flow: Bijector, params: Params, z: Latents) -> Event:
    return flow.inverse(params, z)[0]
