"""The nets of vectors, and of other events place by place: dense layers over the channels."""

from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowjax_glow.context import Rows, at_places, check_context_shape
from flowjax_glow.convolution import Precision
from flowjax_glow.errors import check_choice, check_count
from flowjax_glow.nets.net import relu
from flowjax_glow.numerics import LOG_SCALE_FACTOR, at_least_float32
from flowjax_glow.types import Event

Activation = Literal["relu", "silu", "tanh"]

_ACTIVATIONS = {"relu": relu, "silu": jax.nn.silu, "tanh": jnp.tanh}


class ZeroDense(nn.Module):
    """A dense layer that starts at zero: ``(x W + shift) g e^(3 l)``, all three zero.

    As `ZeroConv`, without places around: g is the `gain`, l the learned log-scale.
    """

    channels_out: int
    gain: float = 1.0
    precision: Precision = "highest"

    @nn.compact
    def __call__(self, x: Event) -> Event:
        zeros, dtype = jax.nn.initializers.zeros, at_least_float32(x)
        kernel = self.param("kernel", zeros, (x.shape[-1], self.channels_out), dtype)
        shift = self.param("shift", zeros, (self.channels_out,), dtype)
        log_scale = self.param("log_scale", zeros, (self.channels_out,), dtype)
        scale = self.gain * jnp.exp(LOG_SCALE_FACTOR * log_scale)
        return jnp.matmul(x, kernel * scale, precision=self.precision) + shift * scale


class MLP(nn.Module):
    """A multilayer perceptron over the channels: hidden layers, and one that starts at zero.

    It reads vectors `(batch, channels)`, and of other events every place on its own.

    Attributes:
        width: of the hidden layers.
        hidden: how many there are.
        activation: after each.
        gain: of the output, as `CouplingNet.gain`.
        precision: of the products on accelerators, as `CouplingNet.precision`.
        context_shape: of one context, `(features,)`, or with the places of the events in front;
            None for no context. A dense layer that starts at zero adds it to the first one.

    Raises:
        ValueError: if width or hidden is not a whole number above 0, or the activation unknown.
    """

    width: int = 128
    hidden: int = 2
    activation: Activation = "relu"
    gain: float = 1.0
    precision: Precision = "highest"
    context_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_context_shape("MLP.context_shape", self.context_shape)
        check_count("MLP.width", self.width)
        check_count("MLP.hidden", self.hidden)
        check_choice("MLP.activation", self.activation, get_args(Activation))
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Event, channels_out: int, context: Rows | None = None) -> Event:
        """`(batch, ..., channels)` to `(batch, ..., channels_out)`."""
        h, dtype = x, at_least_float32(x)
        for number in range(self.hidden):
            layer = nn.Dense(self.width, param_dtype=dtype, precision=self.precision)
            h = layer(h)
            if context is not None and not number:
                h = h + self._from_context(context, x)
            h = _ACTIVATIONS[self.activation](h)
        return ZeroDense(channels_out, self.gain, self.precision)(h)

    def _from_context(self, context: Rows, x: Event) -> Rows:
        layer = nn.Dense(
            self.width,
            use_bias=False,
            kernel_init=jax.nn.initializers.zeros,
            param_dtype=at_least_float32(x),
            precision=self.precision,
            name="context",
        )
        return layer(at_places("MLP", context, x).astype(x.dtype))
