"""The same flow with another memory policy, dtype or precision of its nets; params fit all alike.

They look into every combinator; other bijectors stay as they are.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar, cast

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling, Split
from flowjax_glow.combinator import Combinator
from flowjax_glow.combinators import Memory, Repeat
from flowjax_glow.convolution import Precision
from flowjax_glow.nets import CouplingNet

Flow = TypeVar("Flow", bound=Bijector)


def with_memory(flow: Flow, memory: Memory) -> Flow:
    """`flow` with every `Repeat` in it under the policy `memory`."""

    def change(bijector: Bijector) -> Bijector:
        return replace(bijector, memory=memory) if isinstance(bijector, Repeat) else bijector

    return cast(Flow, _rebuilt(flow, change))


def with_net_dtype(flow: Flow, dtype: Literal["bfloat16"] | None) -> Flow:
    """`flow` with every `CouplingNet` in it computing in `dtype`, None for that of the images."""

    def change(bijector: Bijector) -> Bijector:
        match bijector:
            case AffineCoupling(net=CouplingNet() as net):
                return replace(bijector, net=net.clone(dtype=dtype))
        return bijector

    return cast(Flow, _rebuilt(flow, change))


def with_net_precision(flow: Flow, precision: Precision) -> Flow:
    """`flow` with every `CouplingNet` and every learned prior in it multiplying in `precision`.

    Train with ``"default"`` and invert with ``"highest"``: the parameters are the same, and both
    directions must be taken in one precision.
    """

    def change(bijector: Bijector) -> Bijector:
        match bijector:
            case AffineCoupling(net=CouplingNet() as net):
                return replace(bijector, net=net.clone(precision=precision))
            case Split():
                return replace(bijector, precision=precision)
        return bijector

    return cast(Flow, _rebuilt(flow, change))


def _rebuilt(flow: Bijector, change: Callable[[Bijector], Bijector]) -> Bijector:
    """`flow` with `change` applied to everything in it, innermost first."""
    if isinstance(flow, Combinator):
        children = jax.tree.map(lambda child: _rebuilt(child, change), flow.children)
        flow = flow.replace_children(children)
    return change(flow)
