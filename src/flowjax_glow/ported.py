"""GLOWs of other public code, out of the pieces of `glow`: what `interop` builds an import from."""

from dataclasses import dataclass, replace
from typing import get_args

from flowjax_glow.bijectors import Split, Squeeze
from flowjax_glow.bijectors.coupling import Form
from flowjax_glow.bijectors.squeeze import Parts
from flowjax_glow.errors import check_choice
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.nets import DEVIATION


@dataclass(frozen=True)
class PortedGlowConfig(GlowIPConfig):
    """A GLOW with all choices in which public code differs; by default none differs from ours.

    What it has beyond `GlowIPConfig`, whose choices have the values of a `GlowConfig` here but for
    the factor of actnorms, which only openai/glow has:

    Attributes:
        squeeze_parts: as `Squeeze.parts`.
        prior_edge: whether nets of learned split priors read an edge channel, as `Split.edge`.

    Raises:
        ValueError: if a field is none of the above.
    """

    levels: int = 3
    depth: int = 32
    form: Form = "shift-first"
    last_depth: int | None = None
    last_slip: bool = False
    net_deviation: float = DEVIATION
    squeeze_parts: Parts = "blocks"
    prior_edge: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("PortedGlowConfig.squeeze_parts", self.squeeze_parts, get_args(Parts))
        check_choice("PortedGlowConfig.prior_edge", self.prior_edge, (False, True))

    def squeeze(self) -> Squeeze:
        return Squeeze(self.squeeze_parts)

    def split(self) -> Split:
        return replace(super().split(), edge=self.prior_edge)
