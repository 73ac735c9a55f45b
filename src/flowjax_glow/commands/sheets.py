"""Sheets of images that a flow decodes: rows and columns, with their names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.diagnostics.chunks import in_given_chunks
from flowjax_glow.effort import WELL
from flowjax_glow.latents import interpolate
from flowjax_glow.types import Event, Latents, Params, Tree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Rows of floats, a row of a sheet each; None of a model without classes.
Context: TypeAlias = Float[np.ndarray, "rows classes"] | None

#: Columns of the sheet of labels.
MOST_LABELS = 12


class Sheet(NamedTuple):
    """Rows and columns of images, ``(rows, columns, height, width, channels)``, and their names."""

    name: str
    title: str
    images: np.ndarray
    rows: list[str]
    columns: list[str]


@dataclass(frozen=True)
class Decoder:
    """Decodes sheets, many images by one program."""

    flow: Bijector
    params: Params

    def columns(self, columns: Sequence[Latents], contexts: Sequence[Context]) -> np.ndarray:
        """Of the latents of each column: images (rows, columns, height, width, channels)."""
        rows = len(jax.tree.leaves(columns[0])[0])
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *columns)
        known = [context for context in contexts if context is not None]
        params = self.flow.given(self.params, np.concatenate(known) if known else None)
        x = in_given_chunks(partial(_decoded, self.flow), params, together)
        x = np.where(np.isfinite(x), x, np.nan)
        return x.reshape(len(columns), rows, *x.shape[1:]).swapaxes(0, 1)


def reconstructions(decoder: Decoder, x: Event, z: Latents, context: Context) -> Sheet:
    """Images, and what comes back of them."""
    back = decoder.columns([z], [context])
    return Sheet(
        "reconstructions",
        "Held-out images, and what comes back of their latents",
        np.concatenate([np.asarray(x)[:, None], back], axis=1),
        _numbered(len(back)),
        ["image", "encoded and decoded"],
    )


def ways(decoder: Decoder, z: Latents, context: Context, columns: int) -> Iterator[Sheet]:
    """From every image to the next, straight and on a circle; from its context straight."""
    following = jax.tree.map(lambda leaf: np.roll(leaf, -1, axis=0), z)
    shares = np.linspace(0, 1, columns, dtype=np.float32)
    contexts = [
        None if context is None else (1 - share) * context + share * np.roll(context, -1, axis=0)
        for share in shares
    ]
    for name, spherical in (("straight", False), ("spherical", True)):
        latents = [
            jax.device_get(_between(z, following, share, spherical=spherical)) for share in shares
        ]
        images = decoder.columns(latents, contexts)
        yield Sheet(
            f"{name}-ways",
            f"From every held-out image to the next, {name} through the latents",
            images,
            [f"{row} to {(row + 1) % len(images)}" for row in range(len(images))],
            [f"{share:.2g}" for share in shares],
        )


def styles(decoder: Decoder, z: Latents, context: Context) -> Sheet:
    """The coarsest latents and the context of the row's image, the finer ones of the column's."""
    *finer, coarsest = z
    count = len(coarsest)
    images = decoder.columns(
        [
            (*(np.repeat(leaf[column : column + 1], count, 0) for leaf in finer), coarsest)
            for column in range(count)
        ],
        [context] * count,
    )
    names = _numbered(count)
    title = "Coarsest latents of the row's image, finer ones of the column's"
    return Sheet("styles", title, images, names, names)


def at_labels(decoder: Decoder, z: Latents, classes: Sequence[str]) -> Sheet:
    """The latents of images at their own label, decoded at every label."""
    rows, shown = len(jax.tree.leaves(z)[0]), classes[:MOST_LABELS]
    one_hot = np.eye(len(classes), dtype=np.float32)[: len(shown)]
    contexts = [np.repeat(label[None], rows, axis=0) for label in one_hot]
    images = decoder.columns([z] * len(shown), contexts)
    title = "Latents of held-out images at their own labels, decoded at the column's"
    if len(shown) < len(classes):
        title += f"; the first {len(shown)} of {len(classes)}"
    return Sheet("labels", title, images, _numbered(rows), list(shown))


def along(
    decoder: Decoder, z: Latents, context: Context, direction: Tree, amounts: np.ndarray
) -> Sheet:
    """Images moved by so much of a direction, each at its own context."""
    columns = [
        jax.tree.map(lambda leaf, step: np.asarray(leaf + amount * step), z, direction)  # noqa: B023
        for amount in amounts.astype(np.float32)
    ]
    images = decoder.columns(columns, [context] * len(columns))
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


_between = jax.jit(interpolate, static_argnames="spherical")


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def _decoded(flow: Bijector, params: Params, z: Latents) -> Event:
    return flow.inverse(params, z)[0]
