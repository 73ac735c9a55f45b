"""Flows made of bijectors: in a row, repeated, on several scales, turned around."""

from flowjax_glow.combinators.chain import Chain
from flowjax_glow.combinators.invert import Invert
from flowjax_glow.combinators.multi_scale import MultiScale
from flowjax_glow.combinators.repeat import Repeat
from flowjax_glow.combinators.scan import Memory

__all__ = ["Chain", "Invert", "Memory", "MultiScale", "Repeat"]
