"""A walk of the inverse that may change each activation and records what it saw.

The bijectors know nothing of it. A visitor is called after every bijector that is not a combinator
has been inverted; what it returns goes on down the flow, so clipping and observing are one thing.
Records come back in the structure of the flow: a tuple for a `Chain`, a leading depth axis for a
`Repeat`, ``{"levels": ..., "splits": ...}`` for a `MultiScale`; `flatten_records` names and orders
them. The plain structure is walked, sub-layer by sub-layer. `Chain.inverse` folds an actnorm and a
1x1 convolution into one product, so what is observed is what `inverse` computes up to rounding.
"""

from collections.abc import Callable, Iterator
from functools import singledispatch
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Chain, MultiScale, Repeat, scan_maps
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Image, Latents, LogDet, Params

Record = TypeVar("Record")

#: ``visit(bijector, params, z, x, log_det) -> (x, record)``, where ``x`` and ``log_det`` are what
#: ``bijector.inverse(params, z)`` gave.
Visitor = Callable[[Bijector, Params, Latents, Image, LogDet], tuple[Image, Record]]


@runtime_checkable
class CarriesScale(Protocol):
    """A bijector that multiplies by something learned, and offers its logarithm."""

    def log_scale(self, params: Params, z: Latents) -> Image:
        """``log s`` for every number it scales, from the latent side."""
        ...


@singledispatch
def walk_inverse(
    bijector: Bijector, params: Params, z: Latents, visit: Visitor[Record]
) -> tuple[Image, LogDet, Any]:
    """`bijector.inverse`, calling `visit` after every bijector inside: ``(x, log_det, records)``.

    With a visitor that returns its ``x`` the first two are ``bijector.inverse(params, z)`` up to
    rounding, which folding changes and a stretching flow amplifies. The log-det is that of the
    maps, without what the visitor changed. Works under `jax.jit`. A new combinator takes part by
    ``walk_inverse.register``.
    """
    x, log_det = bijector.inverse(params, z)
    x, record = visit(bijector, params, z, x, log_det)
    return x, log_det, record


@walk_inverse.register
def _(bijector: Chain, params: Params, z: Latents, visit: Visitor) -> tuple[Image, LogDet, Any]:
    total, records = zero_log_det(jax.tree.leaves(z)[0]), []
    for inner, own in reversed(list(zip(bijector.bijectors, params, strict=True))):
        z, log_det, record = walk_inverse(inner, own, z, visit)
        total += log_det
        records.append(record)
    return z, total, tuple(reversed(records))


@walk_inverse.register
def _(bijector: Repeat, params: Params, z: Latents, visit: Visitor) -> tuple[Image, LogDet, Any]:
    def step(own: Params, z: Image) -> tuple[Image, LogDet, Any]:
        return walk_inverse(bijector.step, own, z, visit)

    return scan_maps(step, params, z, reverse=True)


@walk_inverse.register
def _(
    bijector: MultiScale, params: Params, z: Latents, visit: Visitor
) -> tuple[Image, LogDet, Any]:
    *latents, x = z
    x, total, record = walk_inverse(bijector.levels[-1], params["levels"][-1], x, visit)
    levels, splits = [record], []
    for index in reversed(range(len(bijector.splits))):
        x, split_log_det, record = walk_inverse(
            bijector.splits[index], params["splits"][index], (x, latents[index]), visit
        )
        splits.append(record)
        x, log_det, record = walk_inverse(bijector.levels[index], params["levels"][index], x, visit)
        levels.append(record)
        total += split_log_det + log_det
    return x, total, {"levels": tuple(reversed(levels)), "splits": tuple(reversed(splits))}


@singledispatch
def flatten_records(
    bijector: Bijector, records: Any, path: str = ""
) -> Iterator[tuple[str, Bijector, Any]]:
    """The records of a walk in the order of generation: ``(name, bijector, record)`` each.

    Names tell the place, counted in encode order: ``level0/step3/AffineCoupling`` is inverted
    before ``level0/step2/AffineCoupling``.
    """
    yield f"{path}{type(bijector).__name__}", bijector, records


@flatten_records.register
def _(bijector: Chain, records: Any, path: str = "") -> Iterator[tuple[str, Bijector, Any]]:
    for inner, record in reversed(list(zip(bijector.bijectors, records, strict=True))):
        yield from flatten_records(inner, record, path)


@flatten_records.register
def _(bijector: Repeat, records: Any, path: str = "") -> Iterator[tuple[str, Bijector, Any]]:
    for index in reversed(range(bijector.depth)):
        record = jax.tree.map(lambda leaf: leaf[index], records)  # noqa: B023 (used at once)
        yield from flatten_records(bijector.step, record, f"{path}step{index}/")


@flatten_records.register
def _(bijector: MultiScale, records: Any, path: str = "") -> Iterator[tuple[str, Bijector, Any]]:
    for index in reversed(range(len(bijector.levels))):
        here = f"{path}level{index}/"
        if index < len(bijector.splits):
            yield from flatten_records(bijector.splits[index], records["splits"][index], here)
        yield from flatten_records(bijector.levels[index], records["levels"][index], here)
