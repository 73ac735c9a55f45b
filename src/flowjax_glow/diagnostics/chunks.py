"""Large batches in pieces of one size, so that memory is bounded and one program serves all."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

#: Examples per compiled call.
CHUNK = 64


def chunks(batch: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Slices of every array in `batch`, and how many of their examples are new.

    The last slice ends where the batch does and may repeat some that came before; a batch smaller
    than `size` is one slice.
    """
    # from the host, or arrays that came from elsewhere would be compiled for anew
    batch = jax.tree.map(np.asarray, batch)
    examples = jax.tree.leaves(batch)[0].shape[0]
    for start in range(0, examples, size):
        stop = min(start + size, examples)
        first = max(0, stop - size)
        yield jax.tree.map(lambda array: array[first:stop], batch), stop - start  # noqa: B023


def in_chunks(function: Callable[[Any], Any], batch: Any, size: int = CHUNK) -> Any:
    """`function` of `batch`, slice by slice; what it returns, per example, on the host."""
    parts = [
        jax.tree.map(lambda array: np.asarray(array)[-new:], function(part))  # noqa: B023
        for part, new in chunks(batch, size)
    ]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
