"""GLOW, its remedies and its wirings: the model on one screen."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import (
    ActNorm,
    AffineCoupling,
    InvertibleConv,
    InvertibleConvLU,
    LearnedPrior,
    Permutation,
    Reverse,
    Split,
    Squeeze,
)
from flowjax_glow.combinators import Chain, Memory, MultiScale, Repeat
from flowjax_glow.errors import check_choice, check_count, expected
from flowjax_glow.nets import CouplingNet
from flowjax_glow.scales import SCALES, Exponential, Scale, Sigmoid


@dataclass(frozen=True)
class GlowConfig:
    """What a GLOW is made of.

    Attributes:
        levels: resolutions; images must be divisible by ``2 ** levels``. The last does not split.
        depth: steps per level.
        width: hidden channels of the coupling nets.
        scale: a `Scale`, or its name in `SCALES`; one that knows the depth is told it.
        reads: what a coupling's net reads right after a split, in generation: the fresh `"noise"`
            (the paper) or the `"signal"` (openai/glow).
        split_prior: of the noise that leaves: `"standard"` normal, or `"learned"` from what stays.
        prior_scale: how a learned split prior makes its standard deviation: a `Scale`, or its name.
            It acts once per level, so one that knows the depth is told 1.
        top_prior: of the last latent: `"standard"`, or `"learned"` mean and deviation per channel.
        mixing: of the channels, before each coupling: `"conv1x1"`, `"reverse"`, or `"shuffle"`.
        conv1x1: `"dense"`, or `"lu"`.
        permutation: an extra fixed random one: `"none"`, after the coupling of `"every_step"` (the
            paper's randomized splits), or at `"level_end"`.
        memory: what the backward pass keeps, see `Repeat`.
        net_dtype: the dtype that coupling nets compute in, `"bfloat16"`, or None for that of the
            images. Parameters and everything that is inverted keep theirs.
        damped: whether the outputs of the coupling nets, shifts and raw scales alike, are divided
            by the depth, so that one update moves a level no further than it would move one step.
        net_actnorm: whether hidden layers of the coupling nets end in an actnorm, as in
            openai/glow, or in a bias.
    """

    levels: int = 3
    depth: int = 32
    width: int = 512
    scale: Scale | str = field(default_factory=Sigmoid)
    reads: Literal["noise", "signal"] = "noise"
    split_prior: Literal["standard", "learned"] = "standard"
    prior_scale: Scale | str = field(default_factory=Exponential)
    top_prior: Literal["standard", "learned"] = "standard"
    mixing: Literal["conv1x1", "reverse", "shuffle"] = "conv1x1"
    conv1x1: Literal["dense", "lu"] = "dense"
    permutation: Literal["none", "every_step", "level_end"] = "none"
    memory: Memory = "store"
    net_dtype: Literal["bfloat16"] | None = None
    damped: bool = False
    net_actnorm: bool = True

    def __post_init__(self) -> None:
        for name in ("levels", "depth", "width"):
            check_count(f"GlowConfig.{name}", getattr(self, name))
        check_choice("GlowConfig.reads", self.reads, ("noise", "signal"))
        check_choice("GlowConfig.split_prior", self.split_prior, ("standard", "learned"))
        check_choice("GlowConfig.top_prior", self.top_prior, ("standard", "learned"))
        check_choice("GlowConfig.mixing", self.mixing, ("conv1x1", "reverse", "shuffle"))
        check_choice("GlowConfig.conv1x1", self.conv1x1, ("dense", "lu"))
        check_choice(
            "GlowConfig.permutation", self.permutation, ("none", "every_step", "level_end")
        )
        check_choice("GlowConfig.memory", self.memory, get_args(Memory))
        check_choice("GlowConfig.net_dtype", self.net_dtype, (None, "bfloat16"))
        for name in ("damped", "net_actnorm"):
            check_choice(f"GlowConfig.{name}", getattr(self, name), (False, True))
        for name in ("scale", "prior_scale"):
            object.__setattr__(self, name, _scale(f"GlowConfig.{name}", getattr(self, name)))


def _scale(where: str, scale: Scale | str) -> Scale:
    if isinstance(scale, str):
        check_choice(where, scale, tuple(SCALES))
        return SCALES[scale]
    if not isinstance(scale, Scale):
        raise expected(
            where,
            "a Scale or the name of one",
            got=repr(scale),
            advice=f"names are {', '.join(SCALES)}",
        )
    return scale


def glow(config: GlowConfig) -> MultiScale:
    """GLOW (Kingma & Dhariwal 2018) as `config` says, from images in [-0.5, 0.5) to latents.

    Latents are a tuple, finest level first: ``(height/2, width/2, 2c)`` from the first split, and
    so on; each is standard normal under the model.
    """
    # names became scales when config was made
    assert isinstance(config.scale, Scale)
    assert isinstance(config.prior_scale, Scale)
    gain = 1 / config.depth if config.damped else 1.0
    net = CouplingNet(config.width, config.net_dtype, gain, config.net_actnorm)
    coupling = AffineCoupling(net, config.scale.shared_by(config.depth))
    step: tuple[Bijector, ...] = (ActNorm(), _mixing(config), coupling)
    if config.permutation == "every_step":
        step += (Permutation(),)

    level: tuple[Bijector, ...] = (Squeeze(), Repeat(Chain(*step), config.depth, config.memory))
    if config.permutation == "level_end":
        level += (Permutation(),)

    leaves = "read" if config.reads == "noise" else "moved"
    split = Split(leaves, config.split_prior, config.prior_scale.shared_by(1))
    top = (LearnedPrior(),) if config.top_prior == "learned" else ()
    return MultiScale(
        levels=(Chain(*level),) * (config.levels - 1) + (Chain(*level, *top),),
        splits=(split,) * (config.levels - 1),
    )


def _mixing(config: GlowConfig) -> Bijector:
    if config.mixing == "conv1x1":
        return InvertibleConv() if config.conv1x1 == "dense" else InvertibleConvLU()
    return Reverse() if config.mixing == "reverse" else Permutation()
