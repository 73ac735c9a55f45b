"""Image flows with exact likelihoods whose inverse can be trusted."""

from typing import TYPE_CHECKING, Any

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
from flowjax_glow.combinator import Combinator, Maps
from flowjax_glow.combinators import Chain, Invert, MultiScale, Repeat
from flowjax_glow.config import GlowConfig, glow
from flowjax_glow.context import Given, give
from flowjax_glow.density import (
    bits_per_dim,
    class_probabilities,
    decode,
    encode,
    log_prob,
    sample,
    sample_latents,
    sample_pixels,
)
from flowjax_glow.fitting import fit
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.latents import interpolate, latent_direction
from flowjax_glow.model import Model
from flowjax_glow.nets import MLP, CouplingNet, NetFunctions
from flowjax_glow.numerics import constant_log_det, sum_events, zero_log_det
from flowjax_glow.pixels import bin_midpoints, dequantize, to_pixels
from flowjax_glow.ported import PortedGlowConfig
from flowjax_glow.real_nvp import RealNVPConfig, realnvp
from flowjax_glow.rebuild import with_context, with_memory, with_net_dtype, with_net_precision
from flowjax_glow.scales import (
    SCALES,
    Additive,
    AsymmetricClamp,
    Biased,
    Bounded,
    DepthScaled,
    Exponential,
    Scale,
    Sigmoid,
    SoftClamp,
    TanhExponential,
    TanhSoftplus,
    TwoSigmoid,
)
from flowjax_glow.walk import flatten_records, walk_forward, walk_inverse

if TYPE_CHECKING:
    from flowjax_glow.diagnostics import judge

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SCALES",
    "ActNorm",
    "Additive",
    "AffineCoupling",
    "AsymmetricClamp",
    "Biased",
    "Bijector",
    "Bounded",
    "Chain",
    "Combinator",
    "CouplingNet",
    "DepthScaled",
    "Exponential",
    "Given",
    "GlowConfig",
    "GlowIPConfig",
    "Invert",
    "InvertibleConv",
    "InvertibleConvLU",
    "LearnedPrior",
    "Maps",
    "Model",
    "MultiScale",
    "NetFunctions",
    "Permutation",
    "PortedGlowConfig",
    "RealNVPConfig",
    "Repeat",
    "Reverse",
    "Scale",
    "Sigmoid",
    "SoftClamp",
    "Split",
    "Squeeze",
    "TanhExponential",
    "TanhSoftplus",
    "TwoSigmoid",
    "bin_midpoints",
    "bits_per_dim",
    "class_probabilities",
    "constant_log_det",
    "decode",
    "dequantize",
    "encode",
    "fit",
    "flatten_records",
    "give",
    "glow",
    "interpolate",
    "judge",
    "latent_direction",
    "log_prob",
    "realnvp",
    "sample",
    "sample_latents",
    "sample_pixels",
    "sum_events",
    "to_pixels",
    "walk_forward",
    "walk_inverse",
    "with_context",
    "with_memory",
    "with_net_dtype",
    "with_net_precision",
    "zero_log_det",
]


def __getattr__(name: str) -> Any:
    """Imports `judge` when it is asked for: diagnostics take a while, and models need none."""
    if name == "judge":
        from flowjax_glow.diagnostics import judge

        return judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
