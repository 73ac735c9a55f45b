"""Likelihoods, samples and codes of a flow over a standard normal."""

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.context import Context, Rows, as_rows
from flowjax_glow.effort import WELL
from flowjax_glow.errors import check_count, expected
from flowjax_glow.numerics import event_size, sum_events, zero_log_det
from flowjax_glow.pixels import as_events, dequantize, to_pixels
from flowjax_glow.types import Event, Examples, Key, Latents, Params, PerExample, Pixels


def log_prob(
    flow: Bijector, params: Params, x: Event, context: Context | None = None
) -> PerExample:
    """``log N(z; 0, I) + log|det dz/dx|`` with ``z = flow(x)``, in nats, `(batch,)`.

    With a context, as `Bijector.given` takes it, it is ``log p(x | context)``.

    Raises:
        ValueError: if `x` looks like pixels of 0 to 255, which is seen outside of `jax.jit`; or the
            context is missing or of another shape.
    """
    check_no_pixels("log_prob", x)
    z, log_det = flow.forward(flow.given(params, context), x)
    return standard_normal_log_prob(z) + log_det


def check_no_pixels(where: str, x: Event | np.ndarray) -> None:
    """Raises of images if all values are at least 0 and some above 2, as none here has."""
    if isinstance(x, Tracer) or not x.size or x.ndim != 4:
        return
    seen = np.asarray(x)  # of NumPy, since under a jit even a constant's minimum is traced
    low, high = float(seen.min()), float(seen.max())
    if low >= 0 and high > 2:
        raise expected(
            where,
            "images within [-0.5, 0.5)",
            got=f"values from {low:g} to {high:g}",
            advice="make uint8 images floats with pixels.dequantize, or call bits_per_dim",
        )


def images_dtype(params: Params) -> Any:
    """The dtype of images that parameters go with: float64 if they are, else float32."""
    leaves = jax.tree.leaves(params)
    return jnp.float64 if any(leaf.dtype == jnp.float64 for leaf in leaves) else jnp.float32


def standard_normal_log_prob(z: Latents) -> PerExample:
    """``log N(z; 0, I)`` summed over all arrays of `z`, in nats, `(batch,)`."""
    leaves = jax.tree.leaves(z)
    squares = sum((sum_events(jnp.square(leaf)) for leaf in leaves), zero_log_det(leaves[0]))
    return -0.5 * (squares + event_size(z) * math.log(2 * math.pi))


def bits_per_dim(
    flow: Bijector,
    params: Params,
    key: Key,
    images: Pixels,
    *,
    n_bits: int = 8,
    context: Context | None = None,
) -> PerExample:
    """An upper bound on the bits per dimension of uint8 images, one number per image.

    The images are reduced to `n_bits` and dequantized uniformly: ``-(log p(x) - D log n_bins) /
    (D log 2)`` nats turned into bits (Theis et al. 2016). A NaN stays a NaN. `context` is as of
    `log_prob`.

    Raises:
        ValueError: if the images are not uint8, `n_bits` is not 1 to 8, or the context is missing
            or of another shape.
    """
    x = dequantize(key, images, n_bits=n_bits, dtype=images_dtype(params))
    nats_per_dim = -log_prob(flow, params, x, context) / event_size(x)
    return nats_per_dim / math.log(2) + n_bits


def class_probabilities(
    flow: Bijector, params: Params, x: Event, prior: Float[Array, " classes"] | None = None
) -> Float[Array, "batch classes"]:
    """``p(y | x)`` by Bayes' rule, of every class y that a flow is conditioned on.

    It is the softmax of ``log p(x | y) + log p(y)``: the flow runs once per class.

    Args:
        prior: ``p(y)``; None for classes that are alike.

    Raises:
        ValueError: if the flow is conditioned on no labels, or there is another number of priors.
    """
    where, shape = "class_probabilities", flow.context_shape
    if shape is None or len(shape) != 1:
        raise expected(
            where,
            "a flow that is conditioned on class labels",
            got="one without a context" if shape is None else f"contexts of shape {shape}",
            advice="build it with classes=",
        )
    if prior is not None and prior.shape != shape:
        raise expected(where, f"{shape[0]} priors", got=prior.shape, advice="pass one per class")
    labels = jnp.eye(shape[0])
    given = jax.lax.map(lambda label: log_prob(flow, params, x, label[None]), labels)
    joint = given.T if prior is None else given.T + jnp.log(prior).astype(given.dtype)
    return jax.nn.softmax(joint, axis=1)


def sample(
    flow: Bijector,
    params: Params,
    key: Key,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] | Float[Array, "..."] = 1.0,
    dtype: Any = None,
    context: Context | None = None,
) -> Event:
    """Events ``flow^-1(temperature * eps)`` with standard normal ``eps``.

    Args:
        shape: of the batch, `(batch, height, width, channels)` for images.
        temperature: one number, or one per latent, finest level first.
        dtype: of the events; None for float64 with parameters of float64, else float32.
        context: what they are conditioned on, as `Bijector.given` takes it.

    Returns:
        floats; of images mostly within [-0.5, 0.5), and `to_pixels` turns them into uint8.

    Raises:
        ValueError: if there is neither one temperature nor one per latent, or the context is
            missing or of another shape.
    """
    params = flow.given(params, context)
    return flow.inverse(
        params, sample_latents(flow, params, key, shape, temperature=temperature, dtype=dtype)
    )[0]


def sample_latents(
    flow: Bijector,
    params: Params,
    key: Key,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] | Float[Array, "..."] = 1.0,
    dtype: Any = None,
) -> Latents:
    """``temperature * eps`` in the structure of the flow's latents for events of `shape`.

    Raises:
        ValueError: if there is neither one temperature nor one per latent.
    """
    dtype = dtype or images_dtype(params)
    events = jax.ShapeDtypeStruct(tuple(shape), dtype)
    leaves, structure = jax.tree.flatten(jax.eval_shape(flow.forward, params, events)[0])
    temperatures = jnp.asarray(temperature, dtype)
    if temperatures.ndim and temperatures.shape != (len(leaves),):
        raise expected(
            "sample.temperature",
            f"one number, or one for each of {len(leaves)} latents",
            got=f"shape {temperatures.shape}",
            advice="latents are ordered finest level first",
        )
    scales = jnp.broadcast_to(temperatures, (len(leaves),))
    keys = jax.random.split(key, len(leaves))
    noise = [
        scales[i] * jax.random.normal(keys[i], leaf.shape, leaf.dtype)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, noise)


def encode(
    flow: Bijector,
    params: Params,
    images: Examples,
    *,
    n_bits: int = 8,
    context: Context | None = None,
) -> Latents:
    """All latents of uint8 images, from the midpoints of their bins, or of float events.

    Raises:
        ValueError: if the images are neither uint8 nor floats, `n_bits` of uint8 ones is not 1 to
            8, or the context is missing or of another shape.
    """
    x = as_events(images, n_bits=n_bits, dtype=images_dtype(params))
    return flow.forward(flow.given(params, context), x)[0]


def decode(
    flow: Bijector,
    params: Params,
    latents: Latents,
    *,
    n_bits: int | None = 8,
    context: Context | None = None,
) -> Examples:
    """The uint8 images of latents, or float events if `n_bits` is None.

    `decode` of `encode` gives images back, reduced to `n_bits`, and floats up to rounding. At
    another context it gives the images that have these latents there.

    Raises:
        ValueError: if `n_bits` is neither 1 to 8 nor None, or the context is missing or of another
            shape.
    """
    x = flow.inverse(flow.given(params, context), latents)[0]
    return x if n_bits is None else to_pixels(x, n_bits=n_bits)


def sample_pixels(
    flow: Bijector,
    params: Params,
    key: Key,
    count: int,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] = 1.0,
    n_bits: int = 8,
    chunk: int = 64,
    on_chunk: Callable[[int], Any] | None = None,
    context: Context | None = None,
) -> Pixels:
    """`count` uint8 images of a flow, `(count, height, width, channels)`, on the host.

    Chunk i draws from ``fold_in(key, i)``: more images begin with the same ones, and neither count
    nor temperature compiles anything anew. While one chunk is copied to the host the next is made.
    `params` are frozen once. Values that are not finite come out black, with a warning that says
    in how many images; `sample_pixels_and_finite` tells which.

    Args:
        shape: of one image, `(height, width, channels)`.
        temperature: as of `sample`.
        chunk: images per compiled call; what lies beyond `count` is thrown away.
        on_chunk: called with the number of images done, for a progress bar.
        context: what they are conditioned on, as `Bijector.given` takes it: a row or label per
            image, or one for all.

    Raises:
        ValueError: if `count` or `chunk` is not a whole number above 0, or the context has other
            rows.
    """
    images, finite = sample_pixels_and_finite(
        flow,
        params,
        key,
        count,
        shape,
        temperature=temperature,
        n_bits=n_bits,
        chunk=chunk,
        on_chunk=on_chunk,
        context=context,
    )
    lost = count - int(np.all(finite, axis=(1, 2)).sum())
    if lost:
        warnings.warn(
            f"sample_pixels: {lost} of {count} samples hold values that are not finite, which are "
            "black; the inverse overflows: use a lower temperature, or a scale that is bounded",
            stacklevel=2,
        )
    return images


@partial(jax.jit, static_argnums=0, compiler_options=WELL)
def freeze(flow: Bijector, params: Params) -> Params:
    """`flow.freeze(params)`, compiled once for all that do inference with a flow."""
    return flow.freeze(params)


def sample_pixels_and_finite(
    flow: Bijector,
    params: Params,
    key: Key,
    count: int,
    shape: Sequence[int],
    *,
    temperature: float | Sequence[float] = 1.0,
    n_bits: int = 8,
    chunk: int = 64,
    on_chunk: Callable[[int], Any] | None = None,
    context: Context | None = None,
) -> tuple[Pixels, Bool[np.ndarray, "count height width"]]:
    """What `sample_pixels` gives, without a warning, and which pixels are finite in all channels.

    Arguments and errors are those of `sample_pixels`.
    """
    check_count("sample_pixels.count", count)
    check_count("sample_pixels.chunk", chunk)
    rows = None if context is None else rows_of("sample_pixels", flow, context, count)
    frozen = freeze(flow, params)
    temperatures = jnp.asarray(temperature, jnp.float32)
    batch = (chunk, *shape)
    waiting: tuple[jax.Array, jax.Array] | None = None
    done: list[tuple[np.ndarray, np.ndarray]] = []
    for index in range(-(-count // chunk)):
        own_key, own = jax.random.fold_in(key, index), chunk_of(rows, index, chunk)
        made = _chunk(flow, batch, n_bits, frozen, own_key, temperatures, own)
        if waiting is not None:
            done.append(jax.device_get(waiting))
            _tell(on_chunk, len(done) * chunk)
        waiting = made
    done.append(jax.device_get(waiting))
    _tell(on_chunk, count)
    images, finite = (np.concatenate(parts)[:count] for parts in zip(*done, strict=True))
    return images, finite


@partial(jax.jit, static_argnums=(0, 1, 2), compiler_options=WELL)
def _chunk(
    flow: Bijector,
    shape: tuple[int, ...],
    n_bits: int,
    params: Params,
    key: Key,
    temperature: jax.Array,
    context: Rows | None,
) -> tuple[Pixels, Bool[Array, "batch height width"]]:
    """Images, and which of their pixels are finite."""
    x = sample(flow, params, key, shape, temperature=temperature, context=context)
    return to_pixels(x, n_bits=n_bits), jnp.isfinite(x).all(axis=-1)


def _tell(on_chunk: Callable[[int], Any] | None, images: int) -> None:
    if on_chunk is not None:
        on_chunk(images)


def rows_of(where: str, flow: Bijector, context: Context, count: int) -> Rows:
    """A context of a flow as floats, `(count, *context_shape)`, or with one row for all.

    Raises:
        ValueError: if the flow takes none, or it has another shape or other rows.
    """
    rows = as_rows(f"{where}.context", flow.context_shape, context)
    if len(rows) not in (1, count):
        raise expected(
            f"{where}.context",
            f"one row, or {count} as there are examples",
            got=len(rows),
            advice="pass a label or a row for each",
        )
    return rows


def chunk_of(rows: Rows | None, index: int, chunk: int) -> Rows | None:
    """The rows of a chunk, the last one repeated where some lack; one row for all stays one."""
    if rows is None or len(rows) == 1:
        return rows
    own = rows[index * chunk : (index + 1) * chunk]
    return jnp.concatenate([own, jnp.repeat(own[-1:], chunk - len(own), axis=0)])
