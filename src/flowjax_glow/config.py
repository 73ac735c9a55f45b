"""GLOW, its remedies and its wirings: the model on one screen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

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
from flowjax_glow.bijectors.split import Prior
from flowjax_glow.combinators import Chain, Memory, MultiScale, Repeat
from flowjax_glow.convolution import Precision
from flowjax_glow.errors import check_choice, check_count, check_positive, expected
from flowjax_glow.nets import CouplingNet
from flowjax_glow.rebuild import with_context
from flowjax_glow.scales import SCALES, DepthScaled, Exponential, Scale, Sigmoid

#: What the outputs of coupling nets are divided by: nothing, the depth, or its square root.
Damping = Literal[False, True, "sqrt"]

#: Our remedy, as fields of `GlowConfig`: bounds and a pace that know the depth, and a bound on a
#: learned prior, too (docs/depth.md).
DAMPED: dict[str, Any] = {
    "scale": DepthScaled(4.0),
    "damped": True,
    "prior_scale": DepthScaled(2.0, steps=1),
}

#: The remedy that is recommended now, by the rule of docs/protocol.md.
RECOMMENDED = DAMPED | {"damped": "sqrt"}


@dataclass(frozen=True)
class GlowConfig:
    """What a GLOW is made of.

    The defaults are GLOW as it is in the literature, whose trained inverse may blow up: the control
    of the experiments. `recommended` is what we advise.

    Attributes:
        levels: resolutions; images must be divisible by ``2 ** levels``. The last does not split.
        depth: steps per level.
        width: hidden channels of the coupling nets.
        scale: a `Scale`, or its name in `SCALES`; one that knows the depth is told it.
        reads: what a coupling's net reads right after a split, in generation: the fresh `"noise"`
            (the paper) or the `"signal"` (openai/glow).
        split_prior: of the noise that leaves: `"standard"` normal, `"learned"` from what stays, or
            learned for all `"places"`, see `Split`.
        prior_scale: how a learned split prior makes its standard deviation: a `Scale`, or its name.
            It acts once per level, so one that knows the depth is told 1.
        top_prior: of the last latent: `"standard"`, or `"learned"` mean and deviation per channel,
            or for all `"places"`.
        mixing: of the channels, before each coupling: `"conv1x1"`, `"reverse"`, or `"shuffle"`.
        conv1x1: `"dense"`, or `"lu"`.
        permutation: an extra random one: `"none"`, after the coupling of `"every_step"` (the
            paper's randomized splits), or at `"level_end"`. It is fixed when parameters are drawn;
            `"every_batch"` is built like `"every_step"`, for a training that draws it anew for
            every batch (`diagnostics.redraw_permutations`).
        memory: what the backward pass keeps, see `Repeat`.
        net_dtype: the dtype that coupling nets compute in, `"bfloat16"`, or None for that of the
            images. Parameters and everything that is inverted keep theirs.
        net_precision: of the products of coupling nets and of learned priors on accelerators:
            `"highest"` is float32, less trains faster and inverts less exactly; see `CouplingNet`.
            What is inverted is float32 whatever it says, and a `Model` of this configuration has
            its nets in float32, too.
        damped: what the outputs of the coupling nets, shifts and raw scales alike, are divided by:
            nothing, with True the depth, so that one update moves a level no further than it would
            move one step, or with `"sqrt"` the square root of the depth.
        net_actnorm: whether hidden layers of the coupling nets end in an actnorm, as in
            openai/glow, or in a bias.
        shift_limit: of the couplings' shifts, as `AffineCoupling.shift_limit`.
        classes: 0, or the number of class labels that the flow is conditioned on. The coupling nets
            read them, and a learned `top_prior` has a mean and deviation per class (openai/glow).
            `with_context` conditions on vectors and images.

    Raises:
        ValueError: if a field is none of the above.
    """

    levels: int = 3
    depth: int = 32
    width: int = 512
    scale: Scale | str = field(default_factory=Sigmoid)
    reads: Literal["noise", "signal"] = "noise"
    split_prior: Prior = "standard"
    prior_scale: Scale | str = field(default_factory=Exponential)
    top_prior: Prior = "standard"
    mixing: Literal["conv1x1", "reverse", "shuffle"] = "conv1x1"
    conv1x1: Literal["dense", "lu"] = "dense"
    permutation: Literal["none", "every_step", "level_end", "every_batch"] = "none"
    memory: Memory = "store"
    net_dtype: Literal["bfloat16"] | None = None
    net_precision: Precision = "highest"
    damped: Damping = False
    net_actnorm: bool = True
    shift_limit: float | None = None
    classes: int = 0

    @classmethod
    def recommended(cls, shape: Sequence[int], **changes: Any) -> "GlowConfig":
        """Our remedy against inverses that blow up, at a size that suits the images.

        The coarsest level has sides of 4 or more, over at most four levels. Depth and width grow
        with the images: 16 steps of width 64 up to a side of 16, 32 of 128 up to 32, 32 of 256
        beyond; they are a judgement, not a measurement. The backward pass computes each step again
        (`memory="remat"`). With `classes` the top prior has a mean and deviation for every number
        and class, with which samples of digits depended more on the class (docs/conditions.md).

        >>> config = GlowConfig.recommended((32, 32, 3))
        >>> config.levels, config.depth, config.width, config.damped
        (3, 32, 128, 'sqrt')

        Args:
            shape: of one image, (height, width, channels).
            changes: fields that are not to be as recommended.

        Raises:
            ValueError: if no level fits the images.
        """
        height, width, _ = shape
        fits = [n for n in range(1, 5) if not (height % 2**n or width % 2**n)]
        roomy = [n for n in fits if min(height, width) >= 4 * 2**n]
        if not fits:
            raise expected(
                "GlowConfig.recommended",
                "even height and width",
                got=(height, width),
                advice="pad or crop the images first",
            )
        side = max(height, width)
        size: dict[str, Any] = {
            "levels": max(roomy, default=1),
            "depth": 16 if side <= 16 else 32,
            "width": 64 if side <= 16 else 128 if side <= 32 else 256,
        }
        if changes.get("classes"):
            size["top_prior"] = "places"
        return cls(**{**RECOMMENDED, **size, "memory": "remat", **changes})

    def __post_init__(self) -> None:
        for name in ("levels", "depth", "width"):
            check_count(f"GlowConfig.{name}", getattr(self, name))
        check_choice("GlowConfig.reads", self.reads, ("noise", "signal"))
        check_choice("GlowConfig.split_prior", self.split_prior, get_args(Prior))
        check_choice("GlowConfig.top_prior", self.top_prior, get_args(Prior))
        check_choice("GlowConfig.mixing", self.mixing, ("conv1x1", "reverse", "shuffle"))
        check_choice("GlowConfig.conv1x1", self.conv1x1, ("dense", "lu"))
        check_choice(
            "GlowConfig.permutation",
            self.permutation,
            ("none", "every_step", "level_end", "every_batch"),
        )
        check_choice("GlowConfig.memory", self.memory, get_args(Memory))
        check_choice("GlowConfig.net_dtype", self.net_dtype, (None, "bfloat16"))
        check_choice("GlowConfig.net_precision", self.net_precision, get_args(Precision))
        check_choice("GlowConfig.damped", self.damped, get_args(Damping))
        check_choice("GlowConfig.net_actnorm", self.net_actnorm, (False, True))
        if self.shift_limit is not None:
            check_positive("GlowConfig.shift_limit", self.shift_limit)
        if self.classes:
            check_count("GlowConfig.classes", self.classes)
        for name in ("scale", "prior_scale"):
            object.__setattr__(self, name, as_scale(f"GlowConfig.{name}", getattr(self, name)))

    # What `glow` asks a configuration for. A configuration of one's own subclasses this one and
    # answers anew (see `glowip`).

    def depth_of(self, level: int) -> int:
        """Steps of a level, the finest being 0."""
        del level
        return self.depth

    def squeeze(self) -> Squeeze:
        """What a level begins with."""
        return Squeeze()

    def actnorm(self) -> ActNorm:
        """The actnorm of every step."""
        return ActNorm()

    def coupling(self, level: int) -> AffineCoupling:
        """The coupling of a level's steps."""
        depth = self.depth_of(level)
        assert isinstance(self.scale, Scale)  # a name became a scale when the config was made
        net = CouplingNet(
            self.width,
            self.net_dtype,
            net_gain(self.damped, depth),
            self.net_actnorm,
            precision=self.net_precision,
        )
        return AffineCoupling(net, self.scale.shared_by(depth), shift_limit=self.shift_limit)

    def split(self) -> Split:
        """What every level but the last ends in."""
        assert isinstance(self.prior_scale, Scale)  # as in `coupling`
        leaves = "read" if self.reads == "noise" else "moved"
        return Split(leaves, self.split_prior, self.prior_scale.shared_by(1), self.net_precision)


def net_gain(damped: Damping, depth: int) -> float:
    """What the outputs of the coupling nets of `depth` steps are multiplied by."""
    return {False: 1.0, True: 1 / depth, "sqrt": depth**-0.5}[damped]


def as_scale(where: str, scale: Scale | str) -> Scale:
    """`scale`, looked up in `SCALES` if it is a name.

    Raises:
        ValueError: if it is neither a scale nor the name of one.
    """
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
    so on; each is standard normal under the model, given the label if the flow has `classes`.
    """
    top = () if config.top_prior == "standard" else (LearnedPrior(config.top_prior == "places"),)
    *levels, last = (_level(config, level) for level in range(config.levels))
    flow = MultiScale(
        levels=(*(Chain(*level) for level in levels), Chain(*last, *top)),
        splits=(config.split(),) * (config.levels - 1),
    )
    return with_context(flow, (config.classes,)) if config.classes else flow


def _level(config: GlowConfig, number: int) -> tuple[Bijector, ...]:
    step: tuple[Bijector, ...] = (config.actnorm(), _mixing(config), config.coupling(number))
    if config.permutation in ("every_step", "every_batch"):
        step += (Permutation(),)

    depth = config.depth_of(number)
    level: tuple[Bijector, ...] = (config.squeeze(), Repeat(Chain(*step), depth, config.memory))
    if config.permutation == "level_end":
        level += (Permutation(),)
    return level


def _mixing(config: GlowConfig) -> Bijector:
    if config.mixing == "conv1x1":
        return InvertibleConv() if config.conv1x1 == "dense" else InvertibleConvLU()
    return Reverse() if config.mixing == "reverse" else Permutation()
