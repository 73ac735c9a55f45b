"""Programs of a model, and batches cut to the few sizes that they are compiled for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow import density
from flowjax_glow.bijector import Bijector
from flowjax_glow.pixels import as_events, dequantize
from flowjax_glow.types import Examples, Key, Params

#: Examples per compiled call.
CHUNK = 64

log_prob = jax.jit(density.log_prob, static_argnums=0)
sample = jax.jit(density.sample, static_argnums=(0, 3))
bits_per_dim = jax.jit(density.bits_per_dim, static_argnums=0, static_argnames="n_bits")
encode = jax.jit(density.encode, static_argnums=0, static_argnames="n_bits")
decode = jax.jit(density.decode, static_argnums=0, static_argnames="n_bits")


@partial(jax.jit, static_argnums=(0, 4))
def class_probabilities(
    flow: Bijector, params: Params, key: Key, examples: Examples, n_bits: int | None
) -> Float[Array, "batch classes"]:
    if n_bits is None:
        return density.class_probabilities(flow, params, as_events(examples))
    x = dequantize(key, examples, n_bits=n_bits, dtype=density.images_dtype(params))
    return density.class_probabilities(flow, params, x)


def in_chunks(run: Callable[[int, Any], Any], batch: Any) -> Any:
    """``run(index, chunk)`` for every chunk of the arrays in `batch`, joined on the host.

    While one chunk is copied to the host the next is computed.
    """
    # from the host, or every number of images would compile a slice and a padding of its own
    batch = jax.tree.map(np.asarray, batch)
    count = len(jax.tree.leaves(batch)[0])
    waiting, done = None, []
    for index, start in enumerate(range(0, max(count, 1), CHUNK)):
        part = jax.tree.map(lambda array: _padded(array[start : start + CHUNK]), batch)  # noqa: B023
        made = run(index, part)
        if waiting is not None:
            done.append(jax.device_get(waiting))
        waiting = made
    done.append(jax.device_get(waiting))
    return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *done)


def _padded(array: np.ndarray) -> np.ndarray:
    """As many rows as the next power of two, of which the last are copies; none stay none."""
    missing = power_of_two(len(array)) - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def power_of_two(count: int) -> int:
    """The least that is not below `count`; 0 for 0."""
    return 1 << (count - 1).bit_length() if count else 0
