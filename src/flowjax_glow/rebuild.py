"""The same flow with another memory policy, dtype or precision of its nets; params fit all alike.

`with_context` alone adds parameters. They look into every combinator; other bijectors stay as they
are.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeVar, cast

import jax

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import AffineCoupling, LearnedPrior, Split
from flowjax_glow.combinator import Combinator
from flowjax_glow.combinators import Memory, Repeat
from flowjax_glow.context import check_context_shape
from flowjax_glow.convolution import Precision
from flowjax_glow.errors import expected
from flowjax_glow.nets import MLP, CouplingNet

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
    """`flow` with every `CouplingNet`, `MLP` and learned prior in it multiplying in `precision`.

    Train with ``"default"`` and invert with ``"highest"``: the parameters are the same, and both
    directions must be taken in one precision.
    """

    def change(bijector: Bijector) -> Bijector:
        match bijector:
            case AffineCoupling(net=CouplingNet() | MLP() as net):
                return replace(bijector, net=net.clone(precision=precision))
            case Split():
                return replace(bijector, precision=precision)
        return bijector

    return cast(Flow, _rebuilt(flow, change))


def with_context(flow: Flow, shape: tuple[int, ...]) -> Flow:
    """`flow` with every `CouplingNet`, `MLP` and `LearnedPrior` in it reading a context of `shape`.

    Its parameters are those of `flow` and some more, which start at zero, so that with one key both
    start as the same map.

    >>> from flowjax_glow import GlowConfig, glow
    >>> flow = with_context(glow(GlowConfig(levels=1, depth=2, width=8)), (16, 16, 3))
    >>> flow.context_shape
    (16, 16, 3)

    Args:
        shape: of one context: `(features,)`, class labels among them, or `(height, width,
            channels)`, whose sides are those of the events times a whole number. An image is read
            by the nets alone, not by a `LearnedPrior`.

    Raises:
        ValueError: if it is no such shape, or nothing in the flow can read a context.
    """
    check_context_shape("with_context.shape", shape)

    def change(bijector: Bijector) -> Bijector:
        match bijector:
            case AffineCoupling(net=CouplingNet() | MLP() as net):
                return replace(bijector, net=net.clone(context_shape=shape))
            case LearnedPrior() if len(shape) == 1:
                return replace(bijector, context_features=shape[0])
        return bijector

    found = cast(Flow, _rebuilt(flow, change))
    if found.context_shape is None:
        raise expected(
            "with_context",
            "a flow with couplings of CouplingNet or MLP, or a learned prior",
            got=f"a {flow.layer_name} without",
            advice="give a net of your own a context_shape",
        )
    return found


def _rebuilt(flow: Bijector, change: Callable[[Bijector], Bijector]) -> Bijector:
    """`flow` with `change` applied to everything in it, innermost first."""
    if isinstance(flow, Combinator):
        children = jax.tree.map(lambda child: _rebuilt(child, change), flow.children)
        flow = flow.replace_children(children)
    return change(flow)
