"""RealNVP for vectors, with every remedy: the model on one screen."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import ActNorm, AffineCoupling, InvertibleConv, Permutation, Reverse
from flowjax_glow.combinators import Chain, Memory, Repeat
from flowjax_glow.config import RECOMMENDED, Damping, as_scale, net_gain
from flowjax_glow.convolution import Precision
from flowjax_glow.errors import check_choice, check_count
from flowjax_glow.nets import MLP
from flowjax_glow.nets.dense import Activation
from flowjax_glow.rebuild import with_context
from flowjax_glow.scales import Scale, TanhExponential

Mixing = Literal["reverse", "shuffle", "linear"]


@dataclass(frozen=True)
class RealNVPConfig:
    """What a RealNVP on vectors is made of.

    The defaults are as in the literature, with an actnorm in place of batch normalization;
    `recommended` is what we advise.

    Attributes:
        depth: steps: actnorm, mixing, coupling.
        width: of the hidden layers of the coupling nets.
        hidden: how many hidden layers these have.
        activation: of the hidden layers.
        scale: a `Scale`, or its name in `SCALES`; one that knows the depth is told it.
        damped: what the outputs of the nets are divided by, as `GlowConfig.damped`.
        mixing: of the channels, before each coupling: `"reverse"`, a fixed random `"shuffle"`, or
            an invertible `"linear"` layer that is learned.
        actnorm: whether each step begins with one.
        memory: what the backward pass keeps, see `Repeat`.
        net_precision: of the products in the nets on accelerators, as `GlowConfig.net_precision`.
        classes: 0, or the number of class labels that the nets read; `with_context` conditions on
            vectors.

    Raises:
        ValueError: if a field is none of the above.
    """

    depth: int = 16
    width: int = 128
    hidden: int = 2
    activation: Activation = "relu"
    scale: Scale | str = field(default_factory=TanhExponential)
    damped: Damping = False
    mixing: Mixing = "reverse"
    actnorm: bool = True
    memory: Memory = "store"
    net_precision: Precision = "highest"
    classes: int = 0

    @classmethod
    def recommended(cls, **changes: Any) -> "RealNVPConfig":
        """Our remedy against inverses that blow up: bounds and a pace that know the depth.

        Net outputs are divided by the depth itself, which did best on vectors (docs/vectors.md).

        >>> config = RealNVPConfig.recommended(depth=64)
        >>> config.scale, config.damped
        (DepthScaled(alpha=4.0, steps=None, one_sided=False), True)

        Args:
            changes: fields that are not to be as recommended.
        """
        remedy = {"scale": RECOMMENDED["scale"], "damped": True}
        return cls(**{**remedy, "mixing": "linear", **changes})

    def __post_init__(self) -> None:
        for name in ("depth", "width", "hidden"):
            check_count(f"RealNVPConfig.{name}", getattr(self, name))
        if self.classes:
            check_count("RealNVPConfig.classes", self.classes)
        choices = {
            "activation": get_args(Activation),
            "damped": get_args(Damping),
            "mixing": get_args(Mixing),
            "actnorm": (False, True),
            "memory": get_args(Memory),
            "net_precision": get_args(Precision),
        }
        for name, allowed in choices.items():
            check_choice(f"RealNVPConfig.{name}", getattr(self, name), allowed)
        object.__setattr__(self, "scale", as_scale("RealNVPConfig.scale", self.scale))


def realnvp(config: RealNVPConfig) -> Repeat:
    """RealNVP (Dinh et al. 2016) as `config` says, from vectors `(batch, channels)` to latents.

    Data should have about mean 0 and deviation 1 per channel; the first actnorm sees to it. Events
    with more axes work, too: the nets read every place on its own.

    >>> import jax, jax.numpy as jnp
    >>> flow = realnvp(RealNVPConfig.recommended(depth=2, width=8))
    >>> x = jax.random.normal(jax.random.key(0), (100, 5))
    >>> params = flow.init(jax.random.key(1), x)
    >>> z, log_det = flow.forward(params, x)
    >>> z.shape, log_det.shape
    ((100, 5), (100,))
    """
    assert isinstance(config.scale, Scale)  # a name became a scale when the config was made
    gain = net_gain(config.damped, config.depth)
    net = MLP(config.width, config.hidden, config.activation, gain, config.net_precision)
    coupling = AffineCoupling(net, config.scale.shared_by(config.depth))
    actnorm: tuple[Bijector, ...] = (ActNorm(),) if config.actnorm else ()
    step = Chain(*actnorm, _mixing(config.mixing), coupling)
    flow = Repeat(step, config.depth, config.memory)
    return with_context(flow, (config.classes,)) if config.classes else flow


def _mixing(mixing: Mixing) -> Bijector:
    return {"reverse": Reverse, "shuffle": Permutation, "linear": InvertibleConv}[mixing]()
