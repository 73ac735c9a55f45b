"""A walk of a flow that may change each activation and records what it saw.

The bijectors know nothing of it. A visitor is called after every bijector that is not a combinator;
what it returns goes on through the flow, so clipping and observing are one thing. Records come back
in the structure of the parameters: a tuple for a `Chain`, a leading depth axis for a `Repeat`,
``{"levels": ..., "splits": ...}`` for a `MultiScale`; `flatten_records` names and orders them. The
plain structure is walked, sub-layer by sub-layer. `Chain.inverse` folds an actnorm and a 1x1
convolution into one product, so what is observed is what `inverse` computes up to rounding.

What stands inside of an `Invert` is walked the other way, and shows as `Invert` of a bijector.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinator import Combinator, Maps
from flowjax_glow.combinators import Invert
from flowjax_glow.context import Context
from flowjax_glow.types import Event, Latents, LogDet, Params, Tree

Record = TypeVar("Record")

#: ``visit(bijector, params, given, found, log_det) -> (found, record)``. In a walk of the inverse
#: ``found, log_det = bijector.inverse(params, given)``, in one of the forward map, of `forward`.
Visitor = Callable[[Bijector, Params, Latents, Latents, LogDet], tuple[Latents, Record]]


@runtime_checkable
class CarriesScale(Protocol):
    """A bijector that multiplies by something learned, and offers its logarithm."""

    def log_scale(self, params: Params, z: Latents) -> Event:
        """``log s`` for every number it scales, from the latent side."""
        ...


def log_scale(bijector: Bijector, params: Params, z: Latents) -> Event | None:
    """What `CarriesScale.log_scale` gives; None of a bijector that carries no scale.

    ``Invert(bijector)`` multiplies by the reciprocals.
    """
    if isinstance(bijector, Invert):
        inner = log_scale(bijector.bijector, params, bijector.inverse(params, z)[0])
        return None if inner is None else -inner
    return bijector.log_scale(params, z) if isinstance(bijector, CarriesScale) else None


def walk_inverse(
    flow: Bijector,
    params: Params,
    z: Latents,
    visit: Visitor[Any],
    context: Context | None = None,
) -> tuple[Latents, LogDet, Tree]:
    """`flow.inverse`, calling `visit` after every bijector inside: ``(x, log_det, records)``.

    With a visitor that returns what was found the first two are ``flow.inverse(params, z)`` up to
    rounding, which folding changes and a stretching flow amplifies. The log-det is that of the
    maps, without what the visitor changed. Works under `jax.jit`. `Combinator` says how one of your
    own takes part. A `context`, as `Bijector.given` takes it, is in the parameters that the visitor
    gets.

    Raises:
        ValueError: if the context is missing or of another shape.
    """
    return _Walk(visit, Invert, _itself).inverse(flow, flow.given(params, context), z)


def walk_forward(
    flow: Bijector,
    params: Params,
    x: Latents,
    visit: Visitor[Any],
    context: Context | None = None,
) -> tuple[Latents, LogDet, Tree]:
    """`flow.forward`, calling `visit` after every bijector inside: ``(z, log_det, records)``.

    As `walk_inverse`, the other way.

    Raises:
        ValueError: if the context is missing or of another shape.
    """
    return _Walk(visit, _itself, Invert).forward(flow, flow.given(params, context), x)


def _itself(bijector: Bijector) -> Bijector:
    return bijector


@dataclass(frozen=True)
class _Walk(Maps):
    """Applies children and shows each that is no combinator, as what it is on this way."""

    visit: Visitor[Any]
    forward_as: Callable[[Bijector], Bijector]
    inverse_as: Callable[[Bijector], Bijector]

    def forward(
        self, bijector: Bijector, params: Params, x: Latents
    ) -> tuple[Latents, LogDet, Any]:
        if isinstance(bijector, Combinator):
            return bijector.forward_through(params, x, self)
        z, log_det = bijector.forward(params, x)
        z, record = self.visit(self.forward_as(bijector), params, x, z, log_det)
        return z, log_det, record

    def inverse(
        self, bijector: Bijector, params: Params, z: Latents
    ) -> tuple[Latents, LogDet, Any]:
        if isinstance(bijector, Combinator):
            return bijector.inverse_through(params, z, self)
        x, log_det = bijector.inverse(params, z)
        x, record = self.visit(self.inverse_as(bijector), params, z, x, log_det)
        return x, log_det, record


def flatten_records(flow: Bijector, records: Tree) -> Iterator[tuple[str, Bijector, Any]]:
    """The records of a walk in the order of generation: ``(name, bijector, record)`` each.

    Names tell the place, counted in encode order: ``level0/step3/AffineCoupling`` is inverted
    before ``level0/step2/AffineCoupling``.
    """
    return reversed(list(_encoded(flow, records, "", turned=False)))


def _encoded(
    flow: Bijector, records: Tree, path: str, *, turned: bool
) -> Iterator[tuple[str, Bijector, Any]]:
    """In the order of encoding; `turned` inside of an `Invert`."""
    if isinstance(flow, Invert):
        yield from reversed(list(_encoded(flow.bijector, records, path, turned=not turned)))
    elif isinstance(flow, Combinator):
        for place, child, part in flow.parts(records):
            yield from _encoded(child, part, path + place, turned=turned)
    else:
        name = flow.layer_name
        yield (
            (f"{path}Invert({name})", Invert(flow), records)
            if turned
            else (path + name, flow, records)
        )
