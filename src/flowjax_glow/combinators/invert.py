"""A bijector turned around."""

from dataclasses import dataclass, replace

from flowjax_glow.bijector import Bijector
from flowjax_glow.combinator import Combinator, Maps
from flowjax_glow.types import Event, Key, Latents, LogDet, Params, Tree


@dataclass(frozen=True)
class Invert(Combinator):
    """The same map the other way: its `forward` is the inner `inverse`.

    `init` hands its batch to the inner bijector, which sees it from the wrong side: right for maps
    whose start ignores the values; an actnorm inside gets valid parameters, standardizing nothing.
    """

    bijector: Bijector

    def init(self, key: Key, x: Event) -> Params:
        return self.bijector.init(key, x)

    @property
    def children(self) -> Bijector:
        return self.bijector

    def replace_children(self, children: Tree) -> "Invert":
        return replace(self, bijector=children)

    def forward_through(
        self, params: Params, x: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return maps.inverse(self.bijector, params, x)

    def inverse_through(
        self, params: Params, z: Latents, maps: Maps
    ) -> tuple[Latents, LogDet, Tree]:
        return maps.forward(self.bijector, params, z)
