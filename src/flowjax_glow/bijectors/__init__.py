"""The invertible maps that flows are composed of."""

from flowjax_glow.bijectors.actnorm import ActNorm
from flowjax_glow.bijectors.coupling import AffineCoupling
from flowjax_glow.bijectors.invertible_conv import ChannelMixing, InvertibleConv, InvertibleConvLU
from flowjax_glow.bijectors.permutation import Permutation, Reverse
from flowjax_glow.bijectors.split import LearnedPrior, Split
from flowjax_glow.bijectors.squeeze import Squeeze

__all__ = [
    "ActNorm",
    "AffineCoupling",
    "ChannelMixing",
    "InvertibleConv",
    "InvertibleConvLU",
    "LearnedPrior",
    "Permutation",
    "Reverse",
    "Split",
    "Squeeze",
]
