"""The nets inside couplings and learned priors: conditioned on, never inverted."""

from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.convolution import Kernel, convolve
from flowjax_glow.numerics import LOG_SCALE_FACTOR, channel_statistics
from flowjax_glow.types import Image, Key, Params


@jax.custom_jvp
def relu(x: Image) -> Image:
    """``max(x, 0)``, whose derivative is read off its value: the next layer keeps that anyway."""
    return jnp.maximum(x, 0)


@relu.defjvp
def _(primals: tuple[Image], tangents: tuple[Image]) -> tuple[Image, Image]:
    value = relu(*primals)
    return value, _where_positive(value, *tangents)


@jax.checkpoint  # or the mask would be kept beside the value
def _where_positive(value: Image, tangent: Image) -> Image:
    return jnp.where(value > 0, tangent, 0)


class ConvActNorm(nn.Module):
    """A convolution followed by an actnorm in place of a bias: ``(x * kernel + shift) e^(3 l)``.

    The kernel starts at N(0, 0.05^2); shift and log-scale start so that the output has zero mean
    and unit deviation per channel on the batch that initializes it.
    """

    channels_out: int
    size: int

    @nn.compact
    def __call__(self, x: Image) -> Image:
        shape = (self.size, self.size, x.shape[-1], self.channels_out)
        kernel = self.param("kernel", jax.nn.initializers.normal(0.05), shape, x.dtype)
        shift = self.param("shift", lambda _: -channel_statistics(convolve(x, kernel))[0])
        log_scale = self.param(
            "log_scale",
            lambda _: -jnp.log(channel_statistics(convolve(x, kernel))[1]) / LOG_SCALE_FACTOR,
        )
        return _scaled_convolve(x, kernel, shift, log_scale)


class ZeroConv(nn.Module):
    """A 3x3 convolution that starts at zero: ``(x * kernel + shift) e^(3 l)``, all three zero."""

    channels_out: int

    @nn.compact
    def __call__(self, x: Image) -> Image:
        zeros = jax.nn.initializers.zeros
        kernel = self.param("kernel", zeros, (3, 3, x.shape[-1], self.channels_out), x.dtype)
        shift = self.param("shift", zeros, (self.channels_out,), x.dtype)
        log_scale = self.param("log_scale", zeros, (self.channels_out,), x.dtype)
        return _scaled_convolve(x, kernel, shift, log_scale)


def _scaled_convolve(
    x: Image, kernel: Kernel, shift: Float[Array, " channels"], log_scale: Float[Array, " channels"]
) -> Image:
    """``(x * kernel + shift) e^(3 l)``, scaled where there are fewer numbers: in the kernel."""
    scale = jnp.exp(LOG_SCALE_FACTOR * log_scale)
    return convolve(x, kernel * scale) + shift * scale


class CouplingNet(nn.Module):
    """GLOW's net: 3x3, ReLU, 1x1, ReLU, 3x3 from zero (Kingma & Dhariwal 2018).

    Any Flax module with this call, and with no other collection than ``params``, may stand in for
    it in a coupling.
    """

    width: int = 512

    @nn.compact
    def __call__(self, x: Image, channels_out: int) -> Image:
        """`(batch, height, width, channels)` to `(batch, height, width, channels_out)`."""
        x = relu(ConvActNorm(self.width, size=3, name="first")(x))
        x = relu(ConvActNorm(self.width, size=1, name="second")(x))
        return ZeroConv(channels_out, name="last")(x)


def init_net(net: nn.Module, key: Key, x: Image, *args: int) -> Params:
    """The net's parameters, started on the values of `x`."""
    return net.init(key, x, *args)["params"]


def apply_net(net: nn.Module, params: Params, x: Image, *args: int) -> Image:
    """The net's output at `x`."""
    return cast(Image, net.apply({"params": params}, x, *args))
