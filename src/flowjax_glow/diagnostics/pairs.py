"""Two functions that stand for a flow, called on NumPy batches in chunks; their answers checked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow.diagnostics.chunks import in_chunks
from flowjax_glow.errors import expected

_ADVICE = "call it yourself on two examples, and wrap it until it answers as it should"


class Mapped(NamedTuple):
    """What a function made of a batch.

    Attributes:
        rows: the values of an example in a row, as float64.
        log_det: one number per example, as float64; None if the function returns none.
    """

    rows: np.ndarray
    log_det: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Layout:
    """How one example's values, an array or a tree of arrays, are laid out in a row of numbers."""

    structure: Any
    shapes: tuple[tuple[int, ...], ...]
    dtype: np.dtype

    @staticmethod
    def of(values: Any) -> "Layout":
        """The layout of a batch."""
        leaves, structure = jax.tree.flatten(values)
        dtype = max((leaf.dtype for leaf in leaves), key=lambda dtype: dtype.itemsize)
        return Layout(structure, tuple(leaf.shape[1:] for leaf in leaves), dtype)

    @property
    def size(self) -> int:
        """How many numbers an example has."""
        return sum(map(math.prod, self.shapes))

    def rows(self, values: Any) -> np.ndarray:
        """A batch as rows of float64."""
        leaves = jax.tree.leaves(values)
        return np.concatenate([np.asarray(v, np.float64).reshape(len(v), -1) for v in leaves], 1)

    def values(self, rows: np.ndarray, dtype: Any = None) -> Any:
        """The batch of some rows, in `dtype`, or in that of the layout."""
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        leaves = [
            part.reshape(len(rows), *shape).astype(dtype or self.dtype)
            for part, shape in zip(np.split(rows, ends, axis=1), self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)

    def rounded(self, rows: np.ndarray, dtype: Any = None) -> np.ndarray:
        """The rows as they are once they are in `dtype`."""
        with np.errstate(over="ignore"):
            return rows.astype(dtype or self.dtype).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Pair:
    """Both functions, and how their values are laid out.

    Attributes:
        x, z: the layouts of examples and of latents, in the dtypes that came.
        log_dets: whether `forward` and `inverse` return log-dets.
    """

    functions: tuple[Callable[[Any], Any], Callable[[Any], Any]]
    convert: Callable[[Any], Any] | None
    chunk: int
    x: Layout
    z: Layout
    log_dets: tuple[bool, bool]

    def forward(self, x: np.ndarray, dtype: Any = None) -> Mapped:
        """Rows of examples to rows of latents, in `dtype` if it is given."""
        return self._apply("forward", self.functions[0], x, self.x, self.z, dtype)

    def inverse(self, z: np.ndarray, dtype: Any = None) -> Mapped:
        """Rows of latents to rows of examples."""
        return self._apply("inverse", self.functions[1], z, self.z, self.x, dtype)

    def _apply(
        self,
        name: str,
        function: Callable[[Any], Any],
        rows: np.ndarray,
        given: Layout,
        found: Layout,
        dtype: Any,
    ) -> Mapped:
        def mapped(part: np.ndarray) -> Mapped:
            batch = given.values(part, dtype)
            values, log_det = answered(f"judge.{name}", function, batch, self.convert)
            if (layout := Layout.of(values)).shapes != found.shapes:
                raise expected(
                    f"judge.{name}",
                    f"values of shape {_told(found)} for each example",
                    got=_told(layout),
                    advice="both functions must agree on their shapes, for any number of examples",
                )
            return Mapped(found.rows(values), log_det)

        return in_chunks(mapped, rows, self.chunk)


def paired(
    forward: Callable[[Any], Any],
    inverse: Callable[[Any], Any],
    examples: np.ndarray,
    chunk: int,
    convert: Callable[[Any], Any] | None,
) -> Pair:
    """Tries both functions on the first examples, and notes what they return.

    Raises:
        ValueError: naming the function that raised, or returned values of other shapes.
    """
    first = examples[:chunk]
    x = Layout.of(first)
    latents, log_det = answered("judge.forward", forward, first, convert)
    z = Layout.of(latents)
    if z.size != x.size:
        raise expected(
            "judge.forward",
            f"as many numbers as an example has, {x.size}",
            got=f"{z.size} in latents of shape {_told(z)}",
            advice="return all latents, in a tuple if there are many, or (latents, log_det)",
        )
    back, inverse_log_det = answered("judge.inverse", inverse, latents, convert)
    if Layout.of(back).shapes != x.shapes:
        raise expected(
            "judge.inverse",
            f"values of shape {_told(x)} for each example, as forward takes",
            got=_told(Layout.of(back)),
            advice="return the examples, or (examples, log_det)",
        )
    log_dets = (log_det is not None, inverse_log_det is not None)
    return Pair((forward, inverse), convert, chunk, x, z, log_dets)


def answered(
    where: str,
    function: Callable[[Any], Any],
    batch: Any,
    convert: Callable[[Any], Any] | None = None,
) -> tuple[Any, np.ndarray | None]:
    """What a function returns for a batch, as NumPy arrays, and its log-dets as float64.

    Raises:
        ValueError: if it raises, or returns what is no batch of floats of this size.
    """
    count = len(jax.tree.leaves(batch)[0])
    given = batch if convert is None else jax.tree.map(convert, batch)
    sort = f"{Layout.of(batch).dtype} batch of {count}, {_told(Layout.of(batch))} each"
    try:
        with np.errstate(all="ignore"):  # what overflows is told as such
            found = function(given)
    except Exception as error:
        got = f"{type(error).__name__}: {error}; it was given a {sort}"
        raise expected(where, "a function of batches", got=got, advice=_ADVICE) from error
    log_det = None
    if isinstance(found, tuple) and len(found) == 2 and _shape(found[1]) == (count,):
        found, log_det = found[0], np.asarray(_array(where, found[1]), np.float64)
    values = jax.tree.map(lambda leaf: _array(where, leaf), found)
    leaves: Sequence[np.ndarray] = jax.tree.leaves(values)
    if not leaves or any(leaf.shape[:1] != (count,) for leaf in leaves):
        got = ", ".join(str(leaf.shape) for leaf in leaves) or "nothing"
        advice = "a function of one example becomes one of batches by jax.vmap"
        raise expected(where, f"arrays of {count} examples", got=f"shapes {got}", advice=advice)
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        got = ", ".join(str(leaf.dtype) for leaf in leaves)
        raise expected(where, "floating-point numbers", got=got, advice="return floats")
    return values, log_det


def _array(where: str, value: Any) -> np.ndarray:
    """A NumPy array of what another library's array holds."""
    try:
        if hasattr(value, "detach"):  # PyTorch: arrays with gradients, or on an accelerator
            value = value.detach().cpu()
        return np.asarray(value)
    except Exception as error:
        got = f"{type(value).__name__}, which NumPy cannot read ({error})"
        advice = "return arrays, or a tuple, list or dict of them"
        raise expected(where, "arrays", got=got, advice=advice) from error


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if hasattr(value, "shape") else None


def _told(layout: Layout) -> str:
    return ", ".join(map(str, layout.shapes))
