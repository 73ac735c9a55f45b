"""What a flow is conditioned on: class labels, vectors, images, as arrays with a row per example.

A context goes into the parameters. ``flow.given(params, context)`` makes parameters that hold it,
and everything that takes parameters takes these: both directions, walks, `freeze`, `pull_back`,
the diagnostics. So a bijector that has nothing to do with a context knows nothing of it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from flowjax_glow.errors import check_count, expected
from flowjax_glow.types import Event, Params

#: Floats, `(rows, features)` or `(rows, height, width, channels)`, or labels `(rows,)`, which stand
#: for one-hot vectors; of as many rows as examples, or of one for all of them. A whole number is
#: the label of all.
Context: TypeAlias = (
    Float[Array | np.ndarray, "_ *_ _"] | Int[Array | np.ndarray, " _"] | int | np.integer
)

#: A context as bijectors see it, whose rows are all of one shape.
Rows: TypeAlias = Float[Array, "_ *_ _"]


class Given(NamedTuple):
    """Parameters that hold a context; what `Bijector.condition` puts in place of plain ones."""

    params: Params
    context: Rows


def give(params: Params, context: Rows) -> Given:
    """Parameters with a context, in place of the one that they hold, if any."""
    return Given(without(params), context)


def without(params: Params) -> Params:
    """The parameters of `Given`, and any others as they are."""
    return params.params if isinstance(params, Given) else params


def held_by(where: str, params: Params, x: Event) -> Rows:
    """The context that parameters hold, of as many rows as `x` or of one.

    Raises:
        ValueError: if there is none, or it has other rows.
    """
    if not isinstance(params, Given):
        raise expected(
            where,
            "a context, as the net depends on one",
            got="none",
            advice="pass context=, or the parameters that flow.given(params, context) returns",
        )
    rows, examples = params.context.shape[0], x.shape[0]  # which an exported program leaves open
    if rows != examples and rows != 1:
        raise expected(
            where,
            f"a context of one row, or of {examples} as there are examples",
            got=f"{rows} rows",
            advice="pass the context of these examples",
        )
    return params.context


def as_rows(where: str, shape: tuple[int, ...] | None, context: Context) -> Rows:
    """A context as floats `(rows, *shape)`: labels become one-hot vectors.

    A label out of range is an error where its value is known, and NaN under `jax.jit`.

    Raises:
        ValueError: if a flow takes no context, `shape` being None, or the context has another.
    """
    if shape is None:
        raise expected(
            where,
            "no context, as nothing in the flow takes one",
            got=f"one of shape {np.shape(context)}",
            advice="build the flow with classes= or context=",
        )
    if isinstance(context, str):
        raise expected(
            where,
            "a label as a whole number, or floats",
            got=repr(context),
            advice="number the classes from 0, in the order of their names",
        )
    array = jnp.atleast_1d(jnp.asarray(context))
    if jnp.issubdtype(array.dtype, jnp.integer) and array.ndim == 1 and len(shape) == 1:
        return _one_hot(where, array, shape[0])
    if not jnp.issubdtype(array.dtype, jnp.floating) or array.shape[1:] != shape:
        sides = ", ".join(map(str, shape))
        labels = ", or whole numbers of shape (rows,) as labels" if len(shape) == 1 else ""
        raise expected(
            where,
            f"a context of floats of shape (rows, {sides}){labels}",
            got=f"{array.dtype} of shape {np.shape(context)}",
            advice="give it a row per example, or one row for all",
        )
    return array


def _one_hot(where: str, labels: Int[Array, " rows"], classes: int) -> Float[Array, "rows classes"]:
    known = (labels >= 0) & (labels < classes)
    if not isinstance(known, Tracer) and not bool(known.all()):
        raise expected(
            where,
            f"labels of 0 to {classes - 1}",
            got=f"labels from {labels.min()} to {labels.max()}",
            advice="number the classes from 0",
        )
    return jnp.where(known[:, None], jax.nn.one_hot(labels, classes), jnp.nan)


def at_places(where: str, context: Rows, x: Event) -> Rows:
    """A context with the axes of `x`, to be read beside it.

    Vectors get axes of size 1, so that every place reads the same. An image of the height and width
    of `x` stays, and of a whole multiple of them it is squeezed: each block of places becomes
    channels of one, and nothing is lost.

    Raises:
        ValueError: if places do not fit.
    """
    rows, *places, features = context.shape
    if not places:
        return context.reshape(rows, *(1,) * (x.ndim - 2), features)
    if tuple(places) == x.shape[1:-1]:
        return context
    factors = {a / b for a, b in zip(places, x.shape[1:-1])} if context.ndim == x.ndim == 4 else {}
    factor = int(next(iter(factors), 0))
    if factors != {factor}:
        raise expected(
            where,
            f"a context whose places are those of {x.shape[1:-1]}, or of the images a multiple",
            got=f"places {tuple(places)}",
            advice="resize the context to the size of the events",
        )
    height, width = x.shape[1:-1]
    blocks = context.reshape(rows, height, factor, width, factor, features)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(rows, height, width, factor**2 * features)


def check_context_shape(where: str, shape: Sequence[int] | None) -> None:
    """Raises unless `shape` is that of one context, or None."""
    if shape is None:
        return
    if not isinstance(shape, tuple) or not shape:
        raise expected(
            where,
            "the shape of one context, (features,) or (height, width, channels)",
            got=repr(shape),
            advice="give a tuple, or None for no context",
        )
    for side in shape:
        check_count(where, side)


def zeros(shape: tuple[int, ...]) -> Rows:
    """One context of zeros, which parameters start at: it enters by weights that start at zero."""
    return jnp.zeros((1, *shape), jnp.float32)


def rows_held(params: Params) -> int:
    """How many rows the contexts in parameters have; 1 if they hold none, which suits any batch."""
    return max((len(node.context) for node in _givens(params)), default=1)


def at_rows(params: Params, rows: Int[Array | np.ndarray, " examples"]) -> Params:
    """Parameters with these rows of their contexts alone; one row for all examples stays."""

    def at(node: Any) -> Any:
        held = node.context if _is_given(node) else ()
        return Given(node.params, _picked(held, rows)) if len(held) > 1 else node

    return jax.tree.map(at, params, is_leaf=_is_given)


def _picked(held: Rows, rows: Int[Array | np.ndarray, " examples"]) -> Rows:
    """On the host if it can be, or every number of rows would be compiled for."""
    if isinstance(held, Tracer) or isinstance(rows, Tracer):
        return jnp.asarray(held)[rows]
    return jnp.asarray(np.asarray(held)[rows])


def stripped(params: Params) -> Params:
    """Parameters without any context that they hold."""
    return jax.tree.map(without, params, is_leaf=_is_given)


def in_turn(classes: int, count: int | None = None, start: int = 0) -> Int[np.ndarray, " _"]:
    """The labels 0, 1, ... of `count` samples from number `start` on, over and over; or of all."""
    numbers = start + np.arange(classes if count is None else count)
    return (numbers % classes).astype(np.int32)


def of_samples(where: str, shape: tuple[int, ...] | None, context: Context) -> Rows:
    """The rows that samples take in turn where examples have a context.

    Of labels, one for each example, that is every label there is; else they are those of the
    examples.
    """
    rows, labels = as_rows(where, shape, context), np.shape(context)
    several = len(rows) > 1 and len(labels) == 1  # floats have an axis more
    return jnp.eye(rows.shape[1], dtype=rows.dtype) if several else rows


def _givens(params: Params) -> list[Given]:
    return [node for node in jax.tree.leaves(params, is_leaf=_is_given) if _is_given(node)]


def _is_given(node: Any) -> bool:
    return isinstance(node, Given)
