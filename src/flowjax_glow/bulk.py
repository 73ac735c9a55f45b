"""Any number of samples, in chunks of one size, so that one compiled program makes them all."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
    `params` are frozen once.

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
    waiting: jax.Array | None = None
    done: list[np.ndarray] = []
    for index in range(-(-count // chunk)):
        images = _chunk(flow, batch, n_bits, frozen, jax.random.fold_in(key, index), temperatures)
        if waiting is not None:
            done.append(np.asarray(waiting))
            _tell(on_chunk, len(done) * chunk)
        waiting = images
    done.append(np.asarray(waiting))
    _tell(on_chunk, count)
    return np.concatenate(done)[:count]


_freeze = jax.jit(lambda flow, params: flow.freeze(params), static_argnums=0)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _chunk(
    flow: Bijector,
    shape: tuple[int, ...],
    n_bits: int,
    params: Params,
    key: Key,
    temperature: jax.Array,
) -> Pixels:
    x = sample(flow, params, key, shape, temperature=temperature)
    return to_pixels(x, n_bits=n_bits)


def _tell(on_chunk: Callable[[int], Any] | None, images: int) -> None:
    if on_chunk is not None:
        on_chunk(images)
