"""The GLOW of GlowIP, the public code of the paper's author, out of the pieces of `glow`."""

from dataclasses import dataclass, replace
from typing import Any, get_args

from flowjax_glow.bijectors import ActNorm, AffineCoupling
from flowjax_glow.bijectors.coupling import Form
from flowjax_glow.config import GlowConfig
from flowjax_glow.errors import check_choice, check_count, check_positive
from flowjax_glow.nets import DEVIATION, CouplingNet
from flowjax_glow.numerics import LOG_SCALE_FACTOR
from flowjax_glow.scales import Biased


@dataclass(frozen=True)
class GlowIPConfig(GlowConfig):
    """What GlowIP's GLOW is made of; ``glow(GlowIPConfig())`` is its model at its default size.

    All that `GlowConfig` tells is told here, too; the choices below are those in which GlowIP
    differs, at its values. With `AS_CONTROL` they are those of a `GlowConfig`, so one choice alone
    is ``GlowIPConfig(**{**AS_CONTROL, "form": "scale-first"})``. Source: Asim, Daniels et al. 2020,
    github.com/CACTuS-AI/GlowIP, glow/coupling.py, glow/glow.py, glow/actnorm.py, glow/net.py.

    Attributes:
        form: of the couplings, as `AffineCoupling.form`.
        last_depth: steps of the last level; None for `depth`.
        last_slip: whether couplings of the last level are as a slip in glow/glow.py makes them: the
            flag that asks for a last layer of zeros is passed where a bias of s is expected. So
            ``s = sigmoid(h + 2) + 1``, and the last layer starts at `net_deviation`.
        actnorm_factor: of the log-scales of all actnorms, those in the nets included.
        net_deviation: of the kernels of the nets' hidden layers, at the start.
        edge: whether the nets read an edge channel, as `CouplingNet.edge`; openai/glow's, not
            GlowIP's.

    Raises:
        ValueError: if a field is none of the above.
    """

    levels: int = 4
    depth: int = 48
    form: Form = "scale-first"
    last_depth: int | None = 1
    last_slip: bool = True
    actnorm_factor: float = 1.0
    net_deviation: float = 0.01
    edge: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("GlowIPConfig.form", self.form, get_args(Form))
        if self.last_depth is not None:
            check_count("GlowIPConfig.last_depth", self.last_depth)
        for name in ("last_slip", "edge"):
            check_choice(f"GlowIPConfig.{name}", getattr(self, name), (False, True))
        for name in ("actnorm_factor", "net_deviation"):
            check_positive(f"GlowIPConfig.{name}", getattr(self, name))

    def depth_of(self, level: int) -> int:
        if self.last_depth is not None and self._is_last(level):
            return self.last_depth
        return self.depth

    def actnorm(self) -> ActNorm:
        return ActNorm(self.actnorm_factor)

    def coupling(self, level: int) -> AffineCoupling:
        usual = super().coupling(level)
        assert isinstance(usual.net, CouplingNet)
        slip = self.last_slip and self._is_last(level)
        net = usual.net.clone(
            deviation=self.net_deviation,
            actnorm_factor=self.actnorm_factor,
            edge=self.edge,
            last_deviation=self.net_deviation if slip else None,
        )
        return replace(usual, net=net, scale=Biased(1.0) if slip else usual.scale, form=self.form)

    def _is_last(self, level: int) -> bool:
        return level == self.levels - 1


#: The choices of `GlowIPConfig` as they are in `GlowConfig`.
AS_CONTROL: dict[str, Any] = {
    "form": "shift-first",
    "last_depth": None,
    "last_slip": False,
    "actnorm_factor": LOG_SCALE_FACTOR,
    "net_deviation": DEVIATION,
    "edge": False,
}
