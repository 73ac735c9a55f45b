"""bijx: bijections of batches that carry a log-density along, which are Flax NNX modules."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Repeat
from flowjax_glow.errors import expected
from flowjax_glow.interop.foreign import Foreign, Structure, depth_of, in_a_row, last_first
from flowjax_glow.interop.packages import needed
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
    library = needed("bijx")
    if not isinstance(bijection, library.Bijection):
        raise expected(
            "from_bijx",
            "a bijection of bijx",
            got=type(bijection).__name__,
            advice="pass the .bijection of a distribution",
        )
    return _converted(needed("bijx.bijections.base"), bijection, turned=False)


def _converted(library: Any, bijection: Any, *, turned: bool) -> tuple[Bijector, Params]:
    """`turned`: inside of an odd number of inversions."""
    if isinstance(bijection, library.Inverse):
        return _converted(library, bijection.bijection, turned=not turned)
    if isinstance(bijection, library.Frozen):
        return _converted(library, bijection.frozen, turned=turned)
    if isinstance(bijection, library.Chain):
        parts = [_converted(library, part, turned=turned) for part in bijection.bijections]
        return in_a_row(parts, first=not turned)
    if isinstance(bijection, library.ScanChain):
        step, params = _converted(library, bijection.stack, turned=turned)
        return Repeat(step, depth_of(params)), params if turned else last_first(params)
    parts = needed("flax.nnx").split(bijection)
    structure = Structure(type(bijection).__name__, parts)
    return BijxLayer(structure, turned), structure.arrays(parts)
