"""The models of both calls; all train with nets in the device's fastest precision."""

from dataclasses import dataclass, replace
from typing import Any

from flowjax_glow.combinators import MultiScale
from flowjax_glow.config import DAMPED, GlowConfig, glow
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.scales import Bounded

#: What the paper and we change in a model so that its inverse holds.
REMEDIES: dict[str, dict[str, Any]] = {"bounded": {"scale": Bounded(0.5, 1.0)}, "damped": DAMPED}


@dataclass(frozen=True)
class Size:
    """Of a model."""

    levels: int
    depth: int
    width: int


def author(size: Size, **changes: Any) -> MultiScale:
    """The author's model, ``z = s x + t``: noise is read, priors are standard."""
    config = GlowIPConfig(size.levels, size.depth, size.width, net_precision="default")
    return glow(replace(config, **changes))


def usual(size: Size, **changes: Any) -> MultiScale:
    """GLOW as the sweep has it."""
    config = GlowConfig(size.levels, size.depth, size.width, net_precision="default")
    return glow(replace(config, **changes))
