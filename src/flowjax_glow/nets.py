"""The nets inside couplings and learned priors: conditioned on, never inverted."""

from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.convolution import Kernel, convolve
from flowjax_glow.numerics import LOG_SCALE_FACTOR, at_least_float32, channel_statistics
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


class _HiddenConv(nn.Module):
    """A convolution whose kernel starts at N(0, 0.05^2).

    `dtype` is as of `CouplingNet`, and that of the output.
    """

    channels_out: int
    size: int
    dtype: str | None = None

    def _kernel(self, x: Image) -> Kernel:
        shape = (self.size, self.size, x.shape[-1], self.channels_out)
        return self.param("kernel", jax.nn.initializers.normal(0.05), shape, at_least_float32(x))

    def _output(self, z: Image) -> Image:
        return z if self.dtype is None else z.astype(self.dtype)


class ConvActNorm(_HiddenConv):
    """A convolution followed by an actnorm in place of a bias: ``(x * kernel + shift) e^(3 l)``.

    Shift and log-scale start so that the output has zero mean and unit deviation per channel on the
    batch that initializes it.
    """

    @nn.compact
    def __call__(self, x: Image) -> Image:
        kernel = self._kernel(x)
        shift = self.param("shift", lambda _: -self._statistics(x, kernel)[0])
        log_scale = self.param(
            "log_scale", lambda _: -jnp.log(self._statistics(x, kernel)[1]) / LOG_SCALE_FACTOR
        )
        return self._output(_scaled_convolve(x, kernel, shift, log_scale, self.dtype))

    def _statistics(
        self, x: Image, kernel: Kernel
    ) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
        return channel_statistics(_convolve_in(self.dtype, x, kernel))


class ConvBias(_HiddenConv):
    """A convolution with a bias that starts at zero: ``x * kernel + bias``."""

    @nn.compact
    def __call__(self, x: Image) -> Image:
        kernel = self._kernel(x)
        zeros = jax.nn.initializers.zeros
        bias = self.param("bias", zeros, (self.channels_out,), at_least_float32(x))
        return self._output(_convolve_in(self.dtype, x, kernel) + bias)


class ZeroConv(nn.Module):
    """A 3x3 convolution that starts at zero: ``(x * kernel + shift) g e^(3 l)``, all three zero.

    `dtype` and the gain g are as of `CouplingNet`; the output has the dtype of the parameters.
    """

    channels_out: int
    dtype: str | None = None
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: Image) -> Image:
        zeros, dtype = jax.nn.initializers.zeros, at_least_float32(x)
        kernel = self.param("kernel", zeros, (3, 3, x.shape[-1], self.channels_out), dtype)
        shift = self.param("shift", zeros, (self.channels_out,), dtype)
        log_scale = self.param("log_scale", zeros, (self.channels_out,), dtype)
        return _scaled_convolve(x, kernel, shift, log_scale, self.dtype, self.gain)


def _scaled_convolve(
    x: Image,
    kernel: Kernel,
    shift: Float[Array, " channels"],
    log_scale: Float[Array, " channels"],
    dtype: str | None,
    gain: float = 1.0,
) -> Image:
    """``(x * kernel + shift) g e^(3 l)``, scaled where there are fewer numbers: in the kernel."""
    scale = gain * jnp.exp(LOG_SCALE_FACTOR * log_scale)
    return _convolve_in(dtype, x, kernel * scale) + shift * scale


def _convolve_in(dtype: str | None, x: Image, kernel: Kernel) -> Image:
    """The product is taken in `dtype`, None for their own; the result has the kernel's."""
    if dtype is None:
        return convolve(x, kernel)
    return convolve(x.astype(dtype), kernel.astype(dtype)).astype(kernel.dtype)


class CouplingNet(nn.Module):
    """GLOW's net: 3x3, ReLU, 1x1, ReLU, 3x3 from zero (Kingma & Dhariwal 2018).

    Any Flax module with this call, and with no other collection than ``params``, may stand in for
    it in a coupling.

    Attributes:
        width: hidden channels.
        dtype: of convolutions and hidden activations, such as ``"bfloat16"``; None for that of the
            images. Parameters, input and output keep theirs.
        gain: of the output, which it multiplies. Adam moves every weight by about the learning
            rate, whatever the gradient's size, so the gain sets how far an update moves the output.
        actnorm: whether hidden convolutions end in an actnorm (openai/glow) or in a bias.
    """

    width: int = 512
    dtype: str | None = None
    gain: float = 1.0
    actnorm: bool = True

    @nn.compact
    def __call__(self, x: Image, channels_out: int) -> Image:
        """`(batch, height, width, channels)` to `(batch, height, width, channels_out)`."""
        convolution = ConvActNorm if self.actnorm else ConvBias
        h = relu(convolution(self.width, size=3, dtype=self.dtype, name="first")(x))
        h = relu(convolution(self.width, size=1, dtype=self.dtype, name="second")(h))
        return ZeroConv(channels_out, self.dtype, self.gain, name="last")(h).astype(x.dtype)


def init_net(net: nn.Module, key: Key, x: Image, *args: int) -> Params:
    """The net's parameters, started on the values of `x`."""
    return net.init(key, x, *args)["params"]


def apply_net(net: nn.Module, params: Params, x: Image, *args: int) -> Image:
    """The net's output at `x`."""
    return cast(Image, net.apply({"params": params}, x, *args))
