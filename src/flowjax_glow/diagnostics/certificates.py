r"""Upper bounds on the gain of an inverse, from its parameters alone.

For all latents that keep every activation of the inverse within a box, ``|a| <= B``, the inverse of
a sub-layer g has a Lipschitz constant, and those of a chain multiply. With ``x = z / s(r) - t(r)``
on the moved half and ``x = r`` on the read one,

.. math:: \mathrm{Lip}(g) \le \max(1, 1 / s_\min)
          + B \sup|(1/s)'| \, \mathrm{Lip}(h) + \mathrm{Lip}(t),

where h is what the net gives to the scale. Where the scale comes first, ``x = (z - t(r)) / s(r)``,
so that ``dx = dz / s - x d log s - dt / s``, and as x lies in the box, too,

.. math:: \mathrm{Lip}(g) \le \max(1, 1 / s_\min)
          + B \sup|(\log s)'| \, \mathrm{Lip}(h) + \mathrm{Lip}(t) / s_\min

(here along paths that stay in the box, which need not be convex in z). The net's own constant is at
most the product of its convolutions' spectral norms, and a convolution's at most ``sqrt(height
width)`` times the smallest spectral norm of four matrices that its kernel can be written as (Singla
& Feizi 2021). A scale that may come arbitrarily near zero has no bound: infinity. So has whatever
is not known here: a bijector or a net of one's own takes part by ``log_inverse_gain.register`` and
``net_gains.register``.

**These bounds are loose.** Each one holds for the worst direction at the worst point of the box,
and no activation meets all of them; they compound over the depth. They are good for telling bounded
from unbounded, and one model from another, not for predicting an error. The measured gain stands
beside them.
"""

import re
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import (
    AffineCoupling,
    LearnedPrior,
    Permutation,
    Reverse,
    Split,
    Squeeze,
)
from flowjax_glow.channels import ChannelAffine
from flowjax_glow.combinators import Invert
from flowjax_glow.context import rows_held, without
from flowjax_glow.diagnostics.table import Result
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.nets import CouplingNet
from flowjax_glow.numerics import LOG_SCALE_FACTOR
from flowjax_glow.types import Event, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, walk_inverse

LogGain = Float[Array, ""]


@dataclass(frozen=True, eq=False)
class Certificate(Result):
    """Upper bounds of ``log Lip(g)`` for every inverse sub-layer g, in the order of generation.

    Attributes:
        layer: its name.
        log_gain: the bound, nats; infinity means that there is none.
    """

    title = "Certificates: log of an upper bound on the inverse's gain, nats"

    layer: np.ndarray
    log_gain: np.ndarray

    @property
    def total(self) -> float:
        """The bound of the whole inverse, the sum of all."""
        return float(self.log_gain.sum())

    @property
    def per_step(self) -> dict[str, float]:
        """Sums over what belongs to one step, such as ``level0/step3``."""
        return self._summed(r"(.*step\d+)/")

    @property
    def per_level(self) -> dict[str, float]:
        """Sums over what belongs to one level, such as ``level0``, its split included."""
        return self._summed(r"(level\d+)/")

    def _summed(self, pattern: str) -> dict[str, float]:
        sums: dict[str, float] = {}
        for name, gain in zip(self.layer, self.log_gain, strict=True):
            if found := re.match(pattern, str(name)):
                sums[found[1]] = sums.get(found[1], 0.0) + float(gain)
        return sums


def certificate(flow: Bijector, params: Params, x: Event, *, box: float = LIMIT) -> Certificate:
    """Bounds for all latents that keep activations of the inverse within ``[-box, box]``.

    Args:
        x: images of the shape that is meant; their values do not enter.
    """
    # at all contexts that the parameters hold
    events = jnp.broadcast_to(x[:1], (rows_held(params), *x.shape[1:]))
    records = jax.device_get(_bounds(flow, params, events, box))
    rows = [(name, gain) for name, _, gain in flatten_records(flow, records)]
    return Certificate(
        layer=np.array([name for name, _ in rows]),
        log_gain=np.array([float(gain) for _, gain in rows]),
    )


@partial(jax.jit, static_argnums=0)
def _bounds(flow: Bijector, params: Params, x: Event, box: Array) -> Any:
    def visit(
        bijector: Bijector, own: Params, z: Latents, x: Latents, log_det: LogDet
    ) -> tuple[Latents, LogGain]:
        del z, log_det
        return x, jnp.asarray(log_inverse_gain(bijector, own, box), jnp.float32)

    frozen = flow.freeze(params)
    return walk_inverse(flow, frozen, flow.forward(frozen, x)[0], visit)[2]


@singledispatch
def log_inverse_gain(bijector: Bijector, params: Params, box: Array) -> LogGain:
    """``log`` of an upper bound of the Lipschitz constant of `bijector.inverse` on the box."""
    del bijector, params, box
    return jnp.asarray(jnp.inf)


@log_inverse_gain.register(Permutation)
@log_inverse_gain.register(Reverse)
@log_inverse_gain.register(Squeeze)
def _(bijector: Bijector, params: Params, box: Array) -> LogGain:
    del bijector, params, box
    return jnp.asarray(0.0)


@log_inverse_gain.register
def _(bijector: ChannelAffine, params: Params, box: Array) -> LogGain:
    del box
    return jnp.log(_spectral_norm(bijector.inverse_affine(params).matrix))


@log_inverse_gain.register
def _(bijector: Invert, params: Params, box: Array) -> LogGain:
    """The forward map of the bijector inside is known where it moves numbers or is a matrix."""
    inner = bijector.bijector
    if isinstance(inner, ChannelAffine):
        return jnp.log(_spectral_norm(inner.affine(params).matrix))
    isometry = isinstance(inner, Permutation | Reverse | Squeeze)
    return log_inverse_gain(inner, params, box) if isometry else jnp.asarray(jnp.inf)


@log_inverse_gain.register
def _(bijector: AffineCoupling, params: Params, box: Array) -> LogGain:
    # what a context adds to a hidden layer does not depend on the event, and adds nothing to a gain
    shift, raw = net_gains(bijector.net, without(params), bijector.scale.raw_count)
    stretch = jnp.exp(-bijector.scale.log_bounds[0])
    if bijector.form == "scale-first":
        slope, shift = bijector.scale.log_slope, _times(stretch, shift)
    else:
        slope = bijector.scale.reciprocal_slope
    return jnp.log(jnp.maximum(1.0, stretch) + _times(slope, box * raw) + shift)


@log_inverse_gain.register
def _(bijector: Split, params: Params, box: Array) -> LogGain:
    """Of ``leaves = eps std(raw(stays)) + mean(stays)``, std as large as it gets on the box."""
    if bijector.prior == "standard":
        return jnp.asarray(0.0)
    if bijector.prior == "places":
        return jnp.log(jnp.maximum(1.0, bijector.scale.value(params["raw"]).max()))
    mean, raw = _halves_of_kernel(params, 2)
    fields = params["shift"] * jnp.exp(LOG_SCALE_FACTOR * params["log_scale"])
    offset = jnp.abs(fields[fields.size // 2 :])
    if "edge" in params:
        edges = _halves_of_kernel({**params, "kernel": params["edge"]}, 2)[1]
        offset += jnp.abs(edges).sum((0, 1, 2))
    reach = (jnp.abs(raw).sum((0, 1, 2)) * box + offset).max()
    largest = bijector.scale.value(reach)  # every scale grows with its raw number
    through_scale = _times(bijector.scale.log_slope, box * largest * convolution_gain(raw))
    gain = jnp.maximum(1.0, largest) + through_scale
    return jnp.log(gain + convolution_gain(mean))


@log_inverse_gain.register
def _(bijector: LearnedPrior, params: Params, box: Array) -> LogGain:
    del box
    return bijector.log_std(params).max()


@singledispatch
def net_gains(net: nn.Module, params: Params, raw_count: int) -> tuple[Array, Array]:
    """Upper bounds of the Lipschitz constants of a net's shift and of its raw scale."""
    del net, params, raw_count
    return jnp.asarray(jnp.inf), jnp.asarray(jnp.inf)


@net_gains.register
def _(net: CouplingNet, params: Params, raw_count: int) -> tuple[Array, Array]:
    hidden = (
        net.gain
        * convolution_gain(_kernel(params["first"], net.actnorm_factor))
        * convolution_gain(_kernel(params["second"], net.actnorm_factor))
    )
    if not raw_count:
        return hidden * convolution_gain(_kernel(params["last"])), jnp.asarray(0.0)
    shift, raw = _halves_of_kernel(params["last"], 1 + raw_count)
    return hidden * convolution_gain(shift), hidden * convolution_gain(raw)


def convolution_gain(kernel: Float[Array, "height width channels_in channels_out"]) -> Array:
    """An upper bound of the spectral norm of a convolution that pads with zeros, at any size."""
    height, width, channels_in, channels_out = kernel.shape
    shapes = (
        kernel.transpose(3, 0, 1, 2).reshape(channels_out, -1),
        kernel.transpose(0, 1, 3, 2).reshape(-1, channels_in),
        kernel.transpose(0, 3, 1, 2).reshape(height * channels_out, -1),
        kernel.transpose(1, 3, 0, 2).reshape(width * channels_out, -1),
    )
    smallest = jnp.stack([_spectral_norm(matrix) for matrix in shapes]).min()
    return (height * width) ** 0.5 * smallest


def _kernel(params: Params, factor: float = LOG_SCALE_FACTOR) -> Array:
    """A convolution's kernel with its scale, where it ends in an actnorm or starts at zero.

    What it gives for an edge channel does not depend on the input, and adds nothing to its gain.
    """
    if "log_scale" not in params:
        return params["kernel"]
    return params["kernel"] * jnp.exp(factor * params["log_scale"])


def _halves_of_kernel(params: Params, parts: int) -> tuple[Array, Array]:
    """The kernel's first part by output channels, and its last."""
    kernel = _kernel(params)
    channels = kernel.shape[-1] // parts
    return kernel[..., :channels], kernel[..., -channels:]


def _times(slope: float | Array, gain: Array) -> Array:
    """Their product; infinity times zero is no number, and a net that gives zeros moves nothing."""
    return jnp.where((slope > 0) & (gain > 0), slope * gain, 0.0)


def _spectral_norm(matrix: Float[Array, "_ _"]) -> Array:
    return jnp.linalg.norm(matrix, 2)
