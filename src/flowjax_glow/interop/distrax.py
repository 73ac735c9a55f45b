"""distrax: bijectors of batches, which are pytrees of their attributes."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from flowjax_glow.bijector import Bijector
from flowjax_glow.interop.foreign import Foreign
from flowjax_glow.interop.latents import Joined
from flowjax_glow.interop.packages import needed
from flowjax_glow.interop.unpacking import Alone, Row, Stack, Turned, check_kind, unpacked
from flowjax_glow.types import Event, Params


@dataclass(frozen=True)
class DistraxLayer(Foreign):
    """A distrax bijector; log-dets of what is a batch to it alone are summed."""

    def call(self, bijection: Any, x: Event, generates: bool) -> tuple[Any, Any]:
        if generates:
            (value, log_det), axes = bijection.forward_and_log_det(x), bijection.event_ndims_in
        else:
            (value, log_det), axes = bijection.inverse_and_log_det(x), bijection.event_ndims_out
        batch = x.shape[: x.ndim - axes]
        return value, jnp.broadcast_to(log_det, batch).reshape(len(x), -1).sum(1)


def from_distrax(bijector: Any) -> tuple[Bijector, Params]:
    """A flow of this library that computes what a distrax bijector does, and its parameters.

    distrax goes forward from noise to data, so **the flow's `forward` is the bijector's inverse**,
    and its `inverse` the bijector's forward map: `log_prob(flow, params, x)` is that of
    ``Transformed(base, bijector)`` with a standard normal base. `Chain` and `Inverse` are unpacked,
    so walks and reports name the layers inside, ``layer3/MaskedCoupling``, counted from the data.

    All arrays are parameters that stand in attributes, and in a conditioner that is a pytree, as
    `jax.tree_util.Partial` is. Weights that a conditioner has closed over stay as they are.

    Raises:
        ValueError: if it is no bijector of distrax.
        ModuleNotFoundError: without distrax.
    """
    check_kind("from_distrax", bijector, needed("distrax").Bijector, "bijector", "distrax")
    return unpacked(_look, bijector)


def _look(bijector: Any) -> Turned | Row | Stack | Alone:
    library = needed("distrax")
    if isinstance(bijector, library.Inverse):
        return Turned(bijector.bijector)
    if isinstance(bijector, library.Chain):
        return Row(bijector.bijectors[::-1])  # the last one of a distrax chain generates first
    return Alone(bijector, bijector.name, DistraxLayer)


def to_distrax(flow: Bijector, params: Params, shape: Sequence[int]) -> Any:
    """The flow as a distrax bijector from noise to data, for events of `shape`.

    ``distrax.Transformed(base, to_distrax(flow, params, shape))`` with a standard normal base over
    `shape` is its distribution. The latents of many levels are joined to an array of `shape`.

    Raises:
        ModuleNotFoundError: without distrax.
    """
    return _distrax_class()(flow, params, tuple(shape))


@functools.cache
def _distrax_class() -> Any:
    library = needed("distrax")

    class FlowBijector(library.Bijector):
        """A flow of flowjax_glow; `forward` goes from noise to data."""

        def __init__(self, flow: Any, params: Any, shape: tuple[int, ...]) -> None:
            super().__init__(event_ndims_in=len(shape))
            self._flow, self._params, self._shape = flow, params, shape

        def forward_and_log_det(self, x: Any) -> Any:
            return Joined(self._flow, self._params, self._shape).inverse(x)

        def inverse_and_log_det(self, y: Any) -> Any:
            return Joined(self._flow, self._params, self._shape).forward(y)

    return FlowBijector
