"""A trained flow in one hand: what it is built from, its parameters, and what its images are."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow import model_programs as programs
from flowjax_glow.bijector import Bijector
from flowjax_glow.card import card
from flowjax_glow.combinator import started
from flowjax_glow.config_json import Config, flow_of
from flowjax_glow.context import Context
from flowjax_glow.density import (
    check_no_pixels,
    chunk_of,
    freeze,
    images_dtype,
    rows_of,
    sample_pixels,
)
from flowjax_glow.errors import check_choice, check_count, expected
from flowjax_glow.model_file import Header, read_model_file, write_model_file
from flowjax_glow.rebuild import with_net_precision
from flowjax_glow.types import Examples, Key, Latents, Params, Pixels


@dataclass(frozen=True, eq=False)
class Model:
    """A flow with its parameters, the shape of its images or events, and how it was trained.

    The methods mean what the functions of `flowjax_glow` of these names mean, take any number of
    images, and return NumPy arrays. Each compiles itself, once for all models of the same flow.
    Images pass in chunks of 64, and what is left over is padded to a power of two with copies of
    its last image, so there are at most eight programs, one of them for no images at all.
    Parameters go to the device when the model is made, and what depends on them alone is computed
    once. A `context`, of a flow that depends on one, is as `Bijector.given` takes it: a label or a
    row for each image, or one for all.

    A model of float events, such as vectors, has no bits: `n_bits` is None, and `sample`, `encode`
    and `decode` speak of floats where others speak of uint8 images.

    Attributes:
        definition: a configuration, or any other flow. One without a configuration cannot be saved.
        params: of the flow.
        event_shape: of one image, (height, width, channels), or of one float event.
        n_bits: of the images; None for float events.
        record: what is known of the training, as JSON; `fit` and `flowjax-glow export` write it.
        verdict: what `flowjax-glow diagnose` said of the inverse, as JSON; None if nobody asked.

    Raises:
        ValueError: if `n_bits` is neither 1 to 8 nor None, or `event_shape` no shape of an image
            or, without bits, of an event.
    """

    definition: Config | Bijector
    params: Params = field(repr=False)
    event_shape: tuple[int, ...]
    n_bits: int | None = 8
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    verdict: Mapping[str, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_choice("Model.n_bits", self.n_bits, (*range(1, 9), None))
        object.__setattr__(self, "event_shape", tuple(self.event_shape))
        if not self.event_shape or (self.n_bits is not None and len(self.event_shape) != 3):
            raise expected(
                "Model.event_shape",
                "(height, width, channels)",
                got=self.event_shape,
                advice="give the shape of one image, or n_bits=None for float events",
            )
        for side in self.event_shape:
            check_count("Model.event_shape", side)
        object.__setattr__(self, "params", jax.device_put(self.params))

    @cached_property
    def flow(self) -> Bijector:
        """The flow; of a configuration with its nets in float32, whatever it trains in."""
        made = self.definition
        if isinstance(made, Bijector):
            return made
        return with_net_precision(flow_of(made), "highest")

    @property
    def config(self) -> Config:
        """What the flow is built from.

        Raises:
            ValueError: if it is not built from a configuration.
        """
        if isinstance(self.definition, Bijector):
            raise expected(
                "Model.config",
                "a model that is built from a configuration of this library",
                got=f"a {type(self.definition).__name__}",
                advice="keep the parameters of a flow of your own yourself",
            )
        return self.definition

    def log_prob(
        self, x: Float[Array | np.ndarray, "batch ..."], context: Context | None = None
    ) -> Float[np.ndarray, " batch"]:
        """The log-likelihood of floats, in nats, as `flowjax_glow.log_prob`.

        Images are floats in [-0.5, 0.5) here.

        Raises:
            ValueError: if `x` has another shape than the model's events, or looks like pixels.
        """
        x = np.asarray(x)
        self._check_shape("Model.log_prob", x.shape)
        check_no_pixels("Model.log_prob", x)
        batch = x, self._rows("Model.log_prob", context, len(x))
        return programs.in_chunks(
            lambda _, part: programs.log_prob(self.flow, self._frozen, *part), batch
        )

    def bits_per_dim(
        self, images: Pixels, key: Key | int = 0, context: Context | None = None
    ) -> Float[np.ndarray, " batch"]:
        """The bits/dim of uint8 images, as `flowjax_glow.bits_per_dim`; their mean is the loss.

        Args:
            images: (batch, height, width, channels), reduced to the model's bits.
            key: of the noise within the bins, or a seed; chunk i draws from ``fold_in(key, i)``.

        Raises:
            ValueError: if the images are not uint8, or have another shape than the model's, or if
                the model is of float events.
        """
        bits = self.n_bits
        if bits is None:
            raise expected(
                "Model.bits_per_dim",
                "a model of images",
                got="one of floats",
                advice="use log_prob",
            )
        self._check_examples("Model.bits_per_dim", images)
        start, rows = _as_key(key), self._rows("Model.bits_per_dim", context, len(images))

        def run(index: int, batch: Any) -> Any:
            (part, own), chunk_key = batch, jax.random.fold_in(start, index)
            return programs.bits_per_dim(
                self.flow, self._frozen, chunk_key, part, n_bits=bits, context=own
            )

        return programs.in_chunks(run, (images, rows))

    def class_probabilities(
        self, examples: Examples, key: Key | int = 0, *, draws: int = 8
    ) -> Float[np.ndarray, "batch classes"]:
        """``p(y | example)`` of every class, as `flowjax_glow.class_probabilities`.

        Args:
            examples: as `encode` takes them.
            key: of the noise within the bins of images, or a seed.
            draws: of that noise, over which the probabilities are averaged; events have none.

        Raises:
            ValueError: as `encode`, and if the flow is conditioned on no labels.
        """
        self._check_examples("Model.class_probabilities", examples)
        check_count("Model.class_probabilities.draws", draws)
        start, draws = _as_key(key), draws if self.n_bits else 1

        def run(index: int, part: np.ndarray) -> Any:
            keys = jax.random.split(jax.random.fold_in(start, index), draws)
            found = [
                programs.class_probabilities(self.flow, self._frozen, own, part, self.n_bits)
                for own in keys
            ]
            return sum(found) / draws

        return programs.in_chunks(run, examples)

    def sample(
        self,
        count: int,
        key: Key | int = 0,
        *,
        temperature: float | Sequence[float] = 1.0,
        context: Context | None = None,
    ) -> Examples:
        """`count` uint8 images, as `flowjax_glow.sample_pixels`, or float events.

        Args:
            count: of images; with the same key more of them begin with the same ones.
            key: of the noise, or a seed.
            temperature: of the noise: one number, or one per latent, finest level first.
            context: of each image, or one for all, such as the label 3.

        Raises:
            ValueError: if `count` is not a whole number above 0.
        """
        check_count("Model.sample.count", count)
        start, chunk = _as_key(key), min(programs.CHUNK, programs.power_of_two(count))
        rows = self._rows("Model.sample", context, count)
        if self.n_bits is not None:
            return sample_pixels(
                self.flow,
                self.params,
                start,
                count,
                self.event_shape,
                temperature=temperature,
                n_bits=self.n_bits,
                chunk=chunk,
                context=rows,
            )
        shape, heat = (chunk, *self.event_shape), np.asarray(temperature, np.float32)
        given = None if rows is None else jax.numpy.asarray(rows)
        parts = [
            programs.sample(
                self.flow,
                self._frozen,
                jax.random.fold_in(start, i),
                shape,
                temperature=heat,
                context=chunk_of(given, i, chunk),
            )
            for i in range(-(-count // chunk))
        ]
        return np.concatenate(jax.device_get(parts))[:count]

    def encode(self, examples: Examples, context: Context | None = None) -> Latents:
        """The latents of uint8 images or float events, all levels, as `flowjax_glow.encode`.

        Raises:
            ValueError: if they are not uint8, or not floats, as the model's are, or have another
                shape.
        """
        self._check_examples("Model.encode", examples)

        def run(_: int, batch: Any) -> Any:
            part, own = batch
            return programs.encode(
                self.flow, self._frozen, part, n_bits=self.n_bits or 8, context=own
            )

        return programs.in_chunks(
            run, (examples, self._rows("Model.encode", context, len(examples)))
        )

    def decode(self, latents: Latents, context: Context | None = None) -> Examples:
        """The uint8 images or float events of latents.

        Of those of `encode` they are the images, reduced to the bits, or the events.

        Raises:
            ValueError: if they are not as `encode` gives them.
        """
        self._check_latents(latents)

        def run(_: int, batch: Any) -> Any:
            part, own = batch
            return programs.decode(self.flow, self._frozen, part, n_bits=self.n_bits, context=own)

        count = len(jax.tree.leaves(latents)[0])
        return programs.in_chunks(run, (latents, self._rows("Model.decode", context, count)))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Writes everything into one file, as a whole or not at all (docs/models.md).

        Raises:
            ValueError: if the file exists, unless told to `overwrite`; if the flow is not built
                from a configuration and scales of this library.
            OSError: if the file cannot be written.
        """
        write_model_file(path, self._header, self.params, overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Model":
        """The model in a file; nothing else is needed, neither its data nor the training.

        Raises:
            ValueError: if it is no such file, or a damaged one, or of a newer version.
            OSError: if it cannot be opened.
        """
        header, params = read_model_file(path)
        return cls(
            header.config, params, header.event_shape, header.n_bits, header.record, header.verdict
        )

    def card(self, file: str = "model.safetensors") -> str:
        """A model card in Markdown, as the Hugging Face hub reads it; the license is left to you.

        Args:
            file: what the card calls the model's file.
        """
        leaves = jax.tree.leaves(self.params)
        return card(self._header, sum(leaf.size for leaf in leaves), file)

    @property
    def _header(self) -> Header:
        return Header(self.config, self.event_shape, self.n_bits, self.record, self.verdict)

    @cached_property
    def _frozen(self) -> Params:
        return freeze(self.flow, self.params)

    @cached_property
    def _latents(self) -> Any:
        """The shapes of the latents of one image."""
        shape, dtype = (1, *self.event_shape), images_dtype(self.params)
        images = jax.ShapeDtypeStruct(shape, dtype)
        return jax.eval_shape(self.flow.forward, started(self.flow, self.params), images)[0]

    def _rows(self, where: str, context: Context | None, count: int) -> np.ndarray | None:
        """A context as floats, a row for each of `count` images; None of a flow that takes none.

        Raises:
            ValueError: if there is none and the flow depends on one, or it is no such context.
        """
        shape = self.flow.context_shape
        if context is None and shape is None:
            return None
        if context is None:
            raise expected(
                f"{where}.context",
                "a context, as the flow depends on one",
                got="none",
                advice="pass context=, such as the label of each image",
            )
        rows = np.asarray(rows_of(where, self.flow, context, count))
        return np.broadcast_to(rows, (count, *rows.shape[1:]))

    def _check_examples(self, where: str, examples: Any) -> None:
        dtype = np.dtype(getattr(examples, "dtype", object))
        if self.n_bits is None and not np.issubdtype(dtype, np.floating):
            raise expected(where, "float events", got=dtype, advice="convert them to float32")
        if self.n_bits is not None and dtype != np.uint8:
            raise expected(
                where,
                "uint8 images",
                got=getattr(examples, "dtype", type(examples).__name__),
                advice="scale them to 0 ... 255; for floats there is log_prob",
            )
        self._check_shape(where, np.shape(examples))

    def _check_shape(self, where: str, shape: Sequence[int]) -> None:
        if tuple(shape[1:]) != self.event_shape or not shape:
            sides = ", ".join(map(str, self.event_shape))
            raise expected(
                where,
                f"a batch of the model's shape, (batch, {sides})",
                got=f"shape {tuple(shape)}",
                advice="add the batch axis, x[None], for a single one; crop or resize images",
            )

    def _check_latents(self, latents: Any) -> None:
        wanted = jax.tree.map(lambda leaf: leaf.shape[1:], self._latents)
        found = jax.tree.map(lambda leaf: np.shape(leaf)[1:], latents)
        if wanted != found or len({np.shape(leaf)[:1] for leaf in jax.tree.leaves(latents)}) != 1:
            raise expected(
                "Model.decode",
                f"latents as of encode, with a batch axis before {wanted}",
                got=f"{jax.tree.map(np.shape, latents)}",
                advice="change the values of those that encode gives, not their shapes",
            )


def _as_key(key: Key | int) -> Key:
    return jax.random.key(int(key)) if isinstance(key, int | np.integer) else key
