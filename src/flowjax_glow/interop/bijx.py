"""bijx: bijections of batches that carry a log-density along, which are Flax NNX modules."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.interop.foreign import Foreign
from flowjax_glow.interop.packages import needed
from flowjax_glow.interop.unpacking import Alone, Row, Stack, Turned, check_kind, unpacked
from flowjax_glow.numerics import zero_log_det
from flowjax_glow.types import Event, Params


@dataclass(frozen=True)
class BijxLayer(Foreign):
    """A bijx bijection; the log-density that it carries starts at zero."""

    def call(self, bijection: Any, x: Event, generates: bool) -> tuple[Any, Any]:
        graph, state = bijection
        module = needed("flax.nnx").merge(graph, state)
        value, density = (module.forward if generates else module.reverse)(x, zero_log_det(x))
        return value, -jnp.asarray(density)


def from_bijx(bijection: Any) -> tuple[Bijector, Params]:
    """A flow of this library that computes what a bijx bijection does, and its parameters.

    bijx goes forward from noise to data, so **the flow's `forward` is the bijection's reverse**,
    and its `inverse` the bijection's forward map: `log_prob(flow, params, x)` is that of
    ``Transformed(IndependentNormal(shape), bijection)``. `Chain`, `ScanChain`, `Inverse` and
    `Frozen` are unpacked, so walks and reports name the layers inside,
    ``step3/GeneralCouplingLayer``, counted from the data. All arrays are parameters; one that two
    layers share becomes two.

    Raises:
        ValueError: if it is no bijection of bijx.
        ModuleNotFoundError: without bijx.
    """
    check_kind("from_bijx", bijection, needed("bijx").Bijection, "bijection", "bijx")
    return unpacked(_look, bijection)


def _look(bijection: Any) -> Turned | Row | Stack | Alone:
    library = needed("bijx.bijections.base")
    while isinstance(bijection, library.Frozen):
        bijection = bijection.frozen
    if isinstance(bijection, library.Inverse):
        return Turned(bijection.bijection)
    if isinstance(bijection, library.Chain):
        return Row(bijection.bijections)
    if isinstance(bijection, library.ScanChain):
        return Stack(bijection.stack)
    return Alone(needed("flax.nnx").split(bijection), type(bijection).__name__, BijxLayer)
