"""Large batches in pieces of one size, so that memory is bounded and one program serves all."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from flowjax_glow.context import at_rows, rows_held
from flowjax_glow.errors import expected
from flowjax_glow.types import Params

#: Examples per compiled call.
CHUNK = 64


def chunks(batch: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Slices of every array in `batch`, and how many of their examples are new.

    The last slice ends where the batch does and may repeat some that came before; a batch smaller
    than `size` is one slice.
    """
    # from the host, or arrays that came from elsewhere would be compiled for anew
    batch = jax.tree.map(np.asarray, batch)
    examples = _count(batch)
    for start in range(0, examples, size):
        stop = min(start + size, examples)
        first = max(0, stop - size)
        yield jax.tree.map(lambda array: array[first:stop], batch), stop - start  # noqa: B023


def given_chunks(params: Params, batch: Any, size: int) -> Iterator[tuple[Params, Any, int]]:
    """`chunks`, each after the parameters at the contexts of its examples, if they hold any.

    Raises:
        ValueError: if they hold neither one row nor one for each example.
    """
    examples, held = _count(batch), rows_held(params)
    if held not in (1, examples):
        raise expected(
            "chunks",
            f"a context of one row, or of {examples} as there are examples",
            got=f"{held} rows",
            advice="pass the context of these examples",
        )
    for (rows, part), new in chunks((np.arange(examples), batch), size):
        yield at_rows(params, rows), part, new


def in_chunks(function: Callable[[Any], Any], batch: Any, size: int = CHUNK) -> Any:
    """`function` of `batch`, slice by slice; what it returns, per example, on the host."""
    return _joined((function(part), new) for part, new in chunks(batch, size))


def in_given_chunks(
    function: Callable[[Params, Any], Any], params: Params, batch: Any, size: int = CHUNK
) -> Any:
    """`in_chunks` of ``function(params, part)``, with the contexts of the part's examples."""
    return _joined(
        (function(own, part), new) for own, part, new in given_chunks(params, batch, size)
    )


def _joined(parts: Iterator[tuple[Any, int]]) -> Any:
    """The new examples of every part."""
    found = [
        jax.tree.map(lambda array: np.asarray(array)[-new:], values)  # noqa: B023
        for values, new in parts
    ]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *found)


def _count(batch: Any) -> int:
    return np.shape(jax.tree.leaves(batch)[0])[0]
