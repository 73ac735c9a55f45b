"""The nets of images: convolutions, as in couplings and learned priors of GLOW."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.context import Rows, at_places, check_context_shape
from flowjax_glow.convolution import Kernel, Precision, convolve
from flowjax_glow.errors import check_positive
from flowjax_glow.nets.net import relu
from flowjax_glow.numerics import LOG_SCALE_FACTOR, at_least_float32, channel_statistics
from flowjax_glow.types import Image

#: The deviation of the kernels of hidden layers, at the start (Kingma & Dhariwal 2018, public
#: code).
DEVIATION = 0.05


#: What an edge channel adds to every image alike.
EdgeMap: TypeAlias = Float[Array, "height width channels_out"]

#: A convolution in the dtype and precision of a net.
Product: TypeAlias = Callable[[Image, Kernel], Image]


def edge_map(x: Image, kernel: Kernel, product: Product = convolve) -> EdgeMap:
    """What an edge channel adds to a convolution of `x`.

    The channel is one in the padding and zero inside, so it gives a net the places that lie at the
    border, in values that no image can have. `kernel` is its part of the kernel, with one channel
    in; away from the border the map is exactly zero. Source: Kingma & Dhariwal's public code.
    """
    (_, height, width, _), (down, across) = x.shape, (size // 2 for size in kernel.shape[:2])
    inside = jnp.zeros((1, height, width, 1), kernel.dtype)
    margins = ((0, 0), (down, down), (across, across), (0, 0))
    channel = jnp.pad(inside, margins, constant_values=1)
    return product(channel, kernel)[0, down : down + height, across : across + width]


class _HiddenConv(nn.Module):
    """A convolution whose kernel starts at N(0, deviation^2), with an edge channel or without.

    A 1x1 convolution has no padding, and so no edge channel. `dtype` and `precision` are as of
    `CouplingNet`; the output is of that dtype.
    """

    channels_out: int
    size: int
    dtype: str | None = None
    precision: Precision = "highest"
    deviation: float = DEVIATION
    edge: bool = False

    def _kernel(self, x: Image) -> Kernel:
        return self._part("kernel", x.shape[-1], x)

    def _edge_map(self, x: Image) -> EdgeMap | float:
        if not self.edge or self.size == 1:
            return 0.0
        return edge_map(x, self._part("edge", 1, x), self._product)

    def _part(self, name: str, channels_in: int, x: Image) -> Kernel:
        """The part of the kernel for some of the channels."""
        shape = (self.size, self.size, channels_in, self.channels_out)
        start = jax.nn.initializers.normal(self.deviation)
        return self.param(name, start, shape, at_least_float32(x))

    @property
    def _product(self) -> Product:
        return partial(_convolve_in, self.dtype, self.precision)

    def _output(self, z: Image) -> Image:
        return z if self.dtype is None else z.astype(self.dtype)


class ConvActNorm(_HiddenConv):
    """A convolution followed by an actnorm in place of a bias: ``(x * kernel + shift) e^(f l)``.

    Shift and log-scale start so that the output has zero mean and unit deviation per channel on the
    batch that initializes it. `factor` is f, as of `ActNorm`.
    """

    factor: float = LOG_SCALE_FACTOR

    @nn.compact
    def __call__(self, x: Image) -> Image:
        kernel, edges = self._kernel(x), self._edge_map(x)

        def statistics() -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
            return channel_statistics(self._product(x, kernel) + edges)

        shift = self.param("shift", lambda _: -statistics()[0])
        log_scale = self.param("log_scale", lambda _: -jnp.log(statistics()[1]) / self.factor)
        scale = jnp.exp(self.factor * log_scale)
        return self._output(_scaled(self._product, x, kernel, shift + edges, scale))


class ConvBias(_HiddenConv):
    """A convolution with a bias that starts at zero: ``x * kernel + bias``."""

    @nn.compact
    def __call__(self, x: Image) -> Image:
        kernel, edges = self._kernel(x), self._edge_map(x)
        zeros = jax.nn.initializers.zeros
        bias = self.param("bias", zeros, (self.channels_out,), at_least_float32(x))
        return self._output(self._product(x, kernel) + (bias + edges))


class ZeroConv(nn.Module):
    """A 3x3 convolution that starts at zero: ``(x * kernel + shift) g e^(3 l)``, all three zero.

    `dtype`, `precision`, the gain g and the edge channel are as of `CouplingNet`; the output has
    the dtype of the parameters. With a `deviation` the kernel starts at N(0, deviation^2) instead.
    """

    channels_out: int
    dtype: str | None = None
    gain: float = 1.0
    precision: Precision = "highest"
    deviation: float | None = None
    edge: bool = False

    @nn.compact
    def __call__(self, x: Image) -> Image:
        zeros, dtype = jax.nn.initializers.zeros, at_least_float32(x)
        product = partial(_convolve_in, self.dtype, self.precision)
        start = jax.nn.initializers.normal(self.deviation) if self.deviation else zeros
        kernel = self.param("kernel", start, (3, 3, x.shape[-1], self.channels_out), dtype)
        edges: EdgeMap | float = 0.0
        if self.edge:
            part = self.param("edge", start, (3, 3, 1, self.channels_out), dtype)
            edges = edge_map(x, part, product)
        shift = self.param("shift", zeros, (self.channels_out,), dtype)
        log_scale = self.param("log_scale", zeros, (self.channels_out,), dtype)
        scale = self.gain * jnp.exp(LOG_SCALE_FACTOR * log_scale)
        return _scaled(product, x, kernel, shift + edges, scale)


class ContextConv(nn.Module):
    """What a context adds to a layer, nothing at first: a convolution whose kernel starts at zero.

    It is 3x3 over images, which are squeezed to the height and width of `x`; of vectors it is a
    dense layer, which adds the same at every place. `dtype` and `precision` are as of
    `CouplingNet`.
    """

    channels_out: int
    dtype: str | None = None
    precision: Precision = "highest"

    @nn.compact
    def __call__(self, context: Rows, x: Image) -> Rows:
        dtype = at_least_float32(x)
        size = 1 if context.ndim == 2 else 3
        seen = at_places("CouplingNet", context, x).astype(dtype)
        shape = (size, size, seen.shape[-1], self.channels_out)
        kernel = self.param("kernel", jax.nn.initializers.zeros, shape, dtype)
        return _convolve_in(self.dtype, self.precision, seen, kernel)


def _scaled(
    product: Product,
    x: Image,
    kernel: Kernel,
    shift: Float[Array, "*places channels"],
    scale: Float[Array, " channels"],
) -> Image:
    """``(x * kernel + shift) scale``, scaled where there are fewer numbers: in the kernel."""
    return product(x, kernel * scale) + shift * scale


def _convolve_in(dtype: str | None, precision: Precision, x: Image, kernel: Kernel) -> Image:
    """The product is taken in `dtype`, None for their own; the result has the kernel's."""
    if dtype is None:
        return convolve(x, kernel, precision)
    return convolve(x.astype(dtype), kernel.astype(dtype), precision).astype(kernel.dtype)


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
        deviation: of the kernels of hidden layers, at the start.
        actnorm_factor: of the log-scales of these actnorms, as `ActNorm.factor`.
        edge: whether the 3x3 convolutions read an edge channel, which is one in their padding and
            zero inside (openai/glow), so that the net can tell the border from dark pixels.
        last_deviation: of the kernel of the last layer at the start; None starts it at zero.
        precision: of its products on accelerators. With less than ``"highest"`` one direction
            alone is as good as ever, but a chain of couplings gives its input back less exactly
            than float32 (docs/accelerator.md).
        context_shape: of one context, `(features,)`, or `(height, width, channels)` of images whose
            sides are those of the events times a whole number; None for no context. What
            `ContextConv` makes of it is added to the first hidden layer, before the ReLU.

    Raises:
        ValueError: if a deviation or the factor is not above 0 and finite.
    """

    width: int = 512
    dtype: str | None = None
    gain: float = 1.0
    actnorm: bool = True
    deviation: float = DEVIATION
    actnorm_factor: float = LOG_SCALE_FACTOR
    edge: bool = False
    last_deviation: float | None = None
    precision: Precision = "highest"
    context_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_context_shape("CouplingNet.context_shape", self.context_shape)
        check_positive("CouplingNet.deviation", self.deviation)
        check_positive("CouplingNet.actnorm_factor", self.actnorm_factor)
        if self.last_deviation is not None:
            check_positive("CouplingNet.last_deviation", self.last_deviation)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Image, channels_out: int, context: Rows | None = None) -> Image:
        """`(batch, height, width, channels)` to `(batch, height, width, channels_out)`."""
        ended = partial(ConvActNorm, factor=self.actnorm_factor) if self.actnorm else ConvBias
        shared = {"dtype": self.dtype, "precision": self.precision, "edge": self.edge}
        convolution = partial(ended, self.width, deviation=self.deviation, **shared)
        h = convolution(size=3, name="first")(x)
        if context is not None:
            own = ContextConv(self.width, self.dtype, self.precision, name="context")
            h = h + own(context, x).astype(h.dtype)
        h = relu(h)
        h = relu(convolution(size=1, name="second")(h))
        last = ZeroConv(
            channels_out, gain=self.gain, deviation=self.last_deviation, name="last", **shared
        )
        return last(h).astype(x.dtype)
