"""A small flow away from its start, images, and ways to break it on purpose."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow import GlowConfig, dequantize, glow
from flowjax_glow.bijectors import ActNorm
from flowjax_glow.combinators import Chain, MultiScale, Repeat
from flowjax_glow.testing import perturbed
from flowjax_glow.types import Image, LogDet, Params

CONFIG = GlowConfig(levels=2, depth=3, width=8, scale="bounded")


def pictures(count: int = 12, size: int = 8, channels: int = 3) -> np.ndarray:
    """Smooth random uint8 images."""
    coarse = np.random.default_rng(0).uniform(40, 216, (count, 2, 2, channels))
    return coarse.repeat(size // 2, 1).repeat(size // 2, 2).astype(np.uint8)


@functools.cache
def model(config: GlowConfig = CONFIG) -> tuple[MultiScale, Any]:
    """The flow and perturbed parameters."""
    flow = glow(config)
    x = dequantize(jax.random.key(0), jnp.asarray(pictures()))
    return flow, perturbed(jax.jit(flow.init)(jax.random.key(1), x))


def with_step(params: Any, level: int, change) -> Any:
    """`params` with ``change(actnorm, conv, coupling)`` applied to the stacked steps of a level."""
    levels = list(params["levels"])
    squeeze, steps = levels[level]
    levels[level] = (squeeze, change(*steps))
    return {**params, "levels": tuple(levels)}


@dataclass(frozen=True)
class WrongLogDet(ActNorm):
    """An actnorm whose log-det has the wrong sign in both directions, so that they cancel."""

    def forward(self, params: Params, x: Image) -> tuple[Image, LogDet]:
        z, log_det = super().forward(params, x)
        return z, -log_det

    def inverse(self, params: Params, z: Image) -> tuple[Image, LogDet]:
        x, log_det = super().inverse(params, z)
        return x, -log_det


@dataclass(frozen=True)
class WrongInverseLogDet(ActNorm):
    """The published mistake: the inverse returns the log-det of the forward map."""

    def inverse(self, params: Params, z: Image) -> tuple[Image, LogDet]:
        x, log_det = super().inverse(params, z)
        return x, -log_det


def with_actnorm(flow: MultiScale, level: int, actnorm: ActNorm) -> MultiScale:
    """`flow` with another actnorm in the steps of one level."""
    levels = list(flow.levels)
    squeeze, repeat = levels[level].bijectors
    _, conv, coupling = repeat.step.bijectors
    levels[level] = Chain(squeeze, Repeat(Chain(actnorm, conv, coupling), repeat.depth))
    return MultiScale(tuple(levels), flow.splits)
