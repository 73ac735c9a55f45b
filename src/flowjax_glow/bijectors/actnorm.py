"""Activation normalization with a data-dependent start."""

from dataclasses import dataclass

import jax.numpy as jnp

from flowjax_glow.channels import Affine, ChannelAffine, Vector
from flowjax_glow.errors import check_channels, check_event, check_positive
from flowjax_glow.numerics import LOG_SCALE_FACTOR, channel_statistics, constant_log_det
from flowjax_glow.types import Event, Key, LogDet, Params


@dataclass(frozen=True)
class ActNorm(ChannelAffine):
    r"""``z = (x + shift) exp(f log_scale)`` with one shift and one log-scale per channel.

    The log-det is ``sum(f log_scale)`` times the number of places, ``height * width`` of an image.
    `init` chooses both so that ``z`` has zero mean and unit deviation per channel on the batch it
    is given; a constant channel keeps its scale. The `factor` f multiplies the learning rate that
    log-scales have under Adam: 3 in Kingma & Dhariwal's public code, 1 in GlowIP. Source: Kingma &
    Dhariwal 2018, section 3.1.

    Raises:
        ValueError: if `factor` is not above 0 and finite.
    """

    factor: float = LOG_SCALE_FACTOR

    def __post_init__(self) -> None:
        check_positive("ActNorm.factor", self.factor)

    def init(self, key: Key, x: Event) -> Params:
        del key
        check_event("ActNorm", x)
        mean, deviation = channel_statistics(x)
        return {"shift": -mean, "log_scale": -jnp.log(deviation) / self.factor}

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        check_channels("ActNorm", x, params["shift"].shape[-1])
        log_scale = self._log_scale(params)
        return (x + params["shift"]) * jnp.exp(log_scale), constant_log_det(x, log_scale.sum())

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        check_channels("ActNorm.inverse", z, params["shift"].shape[-1])
        log_scale = self._log_scale(params)
        return z * jnp.exp(-log_scale) - params["shift"], constant_log_det(z, -log_scale.sum())

    def affine(self, params: Params) -> Affine:
        log_scale = self._log_scale(params)
        scale = jnp.exp(log_scale)
        return Affine(-params["shift"], jnp.diag(scale), jnp.zeros_like(scale), log_scale.sum())

    def inverse_affine(self, params: Params) -> Affine:
        log_scale = self._log_scale(params)
        scale = jnp.exp(-log_scale)
        return Affine(jnp.zeros_like(scale), jnp.diag(scale), -params["shift"], -log_scale.sum())

    def _log_scale(self, params: Params) -> Vector:
        return self.factor * params["log_scale"]
