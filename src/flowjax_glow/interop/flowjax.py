"""FlowJAX: bijections of single events, which are Equinox modules."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import expected
from flowjax_glow.interop.foreign import Foreign
from flowjax_glow.interop.latents import Joined
from flowjax_glow.interop.packages import needed
from flowjax_glow.interop.unpacking import Alone, Row, Stack, Turned, check_kind, unpacked
from flowjax_glow.types import Event, Params


@dataclass(frozen=True)
class FlowJAXLayer(Foreign):
    """A FlowJAX bijection, mapped over batches."""

    def call(self, bijection: Any, x: Event, generates: bool) -> tuple[Any, Any]:
        bijection = needed("paramax").unwrap(bijection)
        name = "transform_and_log_det" if generates else "inverse_and_log_det"
        return jax.vmap(getattr(bijection, name))(x)


def from_flowjax(bijection: Any) -> tuple[Bijector, Params]:
    """A flow of this library that computes what a FlowJAX bijection does, and its parameters.

    FlowJAX transforms noise to data, so **the flow's `forward` is the bijection's inverse**, and
    its `inverse` the transform: `log_prob(flow, params, x)` is that of
    ``Transformed(StandardNormal(shape), bijection)``. `Chain`, `Scan` and `Invert` are unpacked, so
    walks and reports name the layers inside, ``step3/Coupling``, counted from the data. All
    arrays are parameters.

    Args:
        bijection: a bijection without conditions, or a transformed standard normal.

    Raises:
        ValueError: if it is neither.
        ModuleNotFoundError: without FlowJAX.
    """
    bijections = needed("flowjax.bijections")
    distributions = needed("flowjax.distributions")
    if isinstance(bijection, distributions.AbstractTransformed):
        bijection = bijection.merge_transforms()
        if not isinstance(bijection.base_dist, distributions.StandardNormal):
            raise expected(
                "from_flowjax",
                "a standard normal as the base",
                got=type(bijection.base_dist).__name__,
                advice="pass its .bijection, and mind that log_prob is that of a standard normal",
            )
        bijection = bijection.bijection
    plain = needed("paramax").unwrap(bijection)
    check_kind("from_flowjax", plain, bijections.AbstractBijection, "bijection", "FlowJAX")
    if plain.cond_shape is not None:
        raise expected(
            "from_flowjax",
            "a bijection without conditions",
            got=f"conditions of shape {plain.cond_shape}",
            advice="judge takes it, as two functions with the condition filled in",
        )
    return unpacked(_look, bijection)


def _look(bijection: Any) -> Turned | Row | Stack | Alone:
    library = needed("flowjax.bijections")
    if isinstance(bijection, library.Invert):
        return Turned(bijection.bijection)
    if isinstance(bijection, library.Chain):
        return Row(bijection.bijections)
    if isinstance(bijection, library.Scan):
        return Stack(bijection.bijection)
    return Alone(bijection, type(needed("paramax").unwrap(bijection)).__name__, FlowJAXLayer)


def to_flowjax(flow: Bijector, params: Params, shape: Sequence[int]) -> Any:
    """The flow as a FlowJAX bijection from noise to data, for events of `shape`.

    ``Transformed(StandardNormal(shape), to_flowjax(flow, params, shape))`` is its distribution.
    `params` are its arrays. The latents of many levels are joined to an array of `shape`.

    Raises:
        ModuleNotFoundError: without FlowJAX.
    """
    return _flowjax_class()(flow, params, tuple(shape))


@functools.cache
def _flowjax_class() -> Any:
    equinox, bijections = needed("equinox"), needed("flowjax.bijections")

    class FlowBijection(bijections.AbstractBijection):
        """A flow of flowjax_glow; `transform` goes from noise to data."""

        flow: Any = equinox.field(static=True)
        params: Any
        shape: tuple[int, ...] = equinox.field(static=True)
        cond_shape: None = equinox.field(static=True)

        def __init__(self, flow: Any, params: Any, shape: tuple[int, ...]) -> None:
            self.flow, self.params, self.shape, self.cond_shape = flow, params, shape, None

        def transform_and_log_det(self, x: Any, condition: Any = None) -> Any:
            joined = Joined(self.flow, self.params, self.shape)
            value, log_det = joined.inverse(x[None])
            return value[0], log_det[0]

        def inverse_and_log_det(self, y: Any, condition: Any = None) -> Any:
            joined = Joined(self.flow, self.params, self.shape)
            value, log_det = joined.forward(y[None])
            return value[0], log_det[0]

    return FlowBijection
