"""Flows of another library, taken apart as far as that library says what they are made of."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Repeat
from flowjax_glow.errors import expected
from flowjax_glow.interop.foreign import Foreign, Layers, Structure
from flowjax_glow.types import Params


class Turned(NamedTuple):
    """A bijection the other way around."""

    inside: Any


class Row(NamedTuple):
    """Bijections one after another, those first that are applied first in generating."""

    parts: Sequence[Any]


class Stack(NamedTuple):
    """Bijections of stacked arrays, in the order of `Row`."""

    step: Any


class Alone(NamedTuple):
    """A bijection that stays whole: the pytree, its name, and what applies it."""

    tree: Any
    name: str
    layer: type[Foreign]


Look: TypeAlias = Callable[[Any], Turned | Row | Stack | Alone]


def check_kind(where: str, found: Any, kind: type, noun: str, library: str) -> None:
    """Raises a ValueError unless `found` is what the library calls a `noun`."""
    if not isinstance(found, kind):
        raise expected(
            where,
            f"a {noun} of {library}",
            got=type(found).__name__,
            advice=f"pass the .{noun} of a distribution",
        )


def unpacked(look: Look, bijection: Any, *, turned: bool = False) -> tuple[Bijector, Params]:
    """A flow of this library from data to noise, and its parameters.

    Args:
        look: tells what a bijection of the other library is made of.
        turned: whether it lies inside of an odd number of inversions.
    """
    match look(bijection):
        case Turned(inside):
            return unpacked(look, inside, turned=not turned)
        case Row(parts):
            order = parts if turned else reversed(parts)
            bijectors, params = zip(*(unpacked(look, part, turned=turned) for part in order))
            return Layers(*bijectors), params
        case Stack(step):
            bijector, params = unpacked(look, step, turned=turned)
            depth = int(jax.tree.leaves(params)[0].shape[0])
            order = params if turned else jax.tree.map(lambda leaf: leaf[::-1], params)
            return Repeat(bijector, depth), order
        case Alone(tree, name, layer):
            structure = Structure(name, tree)
            return layer(structure, turned), structure.arrays(tree)
