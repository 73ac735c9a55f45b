"""The same flow with another memory policy."""

from dataclasses import replace
from typing import TypeVar

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinators import Chain, Invert, Memory, MultiScale, Repeat

Flow = TypeVar("Flow", bound=Bijector)


def with_memory(flow: Flow, memory: Memory) -> Flow:
    """`flow` with every `Repeat` in it under the policy `memory`; params fit both alike.

    It looks into the combinators of this library; other bijectors stay as they are.
    """
    match flow:
        case Repeat(step, _, _):
            return replace(flow, step=with_memory(step, memory), memory=memory)
        case Chain(bijectors=bijectors):
            return type(flow)(*(with_memory(part, memory) for part in bijectors))
        case MultiScale(levels, splits):
            return replace(
                flow,
                levels=tuple(with_memory(level, memory) for level in levels),
                splits=tuple(with_memory(split, memory) for split in splits),
            )
        case Invert(bijector):
            return replace(flow, bijector=with_memory(bijector, memory))
    return flow
