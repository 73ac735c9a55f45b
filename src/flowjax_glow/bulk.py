"""Any number of samples, in chunks of one size, so that one compiled program makes them all."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from flowjax_glow.bijector import Bijector
from flowjax_glow.density import sample, to_pixels
from flowjax_glow.errors import check_count
from flowjax_glow.types import Key, Params, Pixels


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
) -> Pixels:
    """`count` uint8 images of a flow, `(count, height, width, channels)`, on the host.

    Chunk i draws from ``fold_in(key, i)``: more images begin with the same ones, and neither count
    nor temperature compiles anything anew. While one chunk is copied to the host the next is made.
    `params` are frozen once. Values that are not finite come out black, with a warning that says
    in how many images.

    Args:
        shape: of one image, `(height, width, channels)`.
        temperature: as of `density.sample`.
        chunk: images per compiled call; what lies beyond `count` is thrown away.
        on_chunk: called with the number of images done, for a progress bar.

    Raises:
        ValueError: if `count` or `chunk` is not a whole number above 0.
    """
    check_count("sample_pixels.count", count)
    check_count("sample_pixels.chunk", chunk)
    frozen = _freeze(flow, params)
    temperatures = jnp.asarray(temperature, jnp.float32)
    batch = (chunk, *shape)
    waiting: tuple[jax.Array, jax.Array] | None = None
    done: list[tuple[np.ndarray, np.ndarray]] = []
    for index in range(-(-count // chunk)):
        made = _chunk(flow, batch, n_bits, frozen, jax.random.fold_in(key, index), temperatures)
        if waiting is not None:
            done.append(jax.device_get(waiting))
            _tell(on_chunk, len(done) * chunk)
        waiting = made
    done.append(jax.device_get(waiting))
    _tell(on_chunk, count)
    images, finite = (np.concatenate(parts)[:count] for parts in zip(*done, strict=True))
    if not finite.all():
        warnings.warn(
            f"sample_pixels: {count - finite.sum()} of {count} samples hold values that are not "
            "finite, which are black; the inverse overflows: use a lower temperature, or a scale "
            "that is bounded",
            stacklevel=2,
        )
    return images


_freeze = jax.jit(lambda flow, params: flow.freeze(params), static_argnums=0)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _chunk(
    flow: Bijector,
    shape: tuple[int, ...],
    n_bits: int,
    params: Params,
    key: Key,
    temperature: jax.Array,
) -> tuple[Pixels, Bool[Array, " batch"]]:
    """Images, and which of them are finite."""
    x = sample(flow, params, key, shape, temperature=temperature)
    return to_pixels(x, n_bits=n_bits), jnp.isfinite(x).all(axis=(1, 2, 3))


def _tell(on_chunk: Callable[[int], Any] | None, images: int) -> None:
    if on_chunk is not None:
        on_chunk(images)
