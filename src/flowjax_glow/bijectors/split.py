"""Splits and learned priors: what leaves a flow leaves as standard normal noise."""

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.channels import halves
from flowjax_glow.context import (
    Context,
    Given,
    Rows,
    at_places,
    give,
    held_by,
    without,
)
from flowjax_glow.convolution import Precision
from flowjax_glow.errors import check_channels, check_choice, check_count, check_event, expected
from flowjax_glow.nets import ZeroConv, ZeroDense
from flowjax_glow.numerics import (
    LOG_SCALE_FACTOR,
    PRECISION,
    constant_log_det,
    sum_events,
    zero_log_det,
)
from flowjax_glow.scales import Exponential, Scale
from flowjax_glow.types import Event, Key, LogDet, Params

#: The law of what leaves: standard normal, learned from what stays, or learned for every place.
Prior = Literal["standard", "learned", "places"]


@dataclass(frozen=True)
class Split(Bijector):
    r"""``x -> (stays, eps)``: half of the channels leaves the flow as standard normal noise.

    ``eps = (leaves - mean) / std``, with mean 0 and std 1 (`prior="standard"`), or both from the
    half that stays (`prior="learned"`): a net, zero at first, gives the mean and a raw number, of
    which `scale` makes std. It is a 3x3 convolution on images, a dense layer at every place of
    other events. With ``prior="places"`` mean and raw number are parameters, one each for every
    number that leaves, whatever stays. The log-det is ``-sum(log std)``. The inverse multiplies by
    std, so an unbounded one can blow it up like a coupling; `Exponential` is openai/glow's.

    `leaves` names the half that leaves, of those that a coupling reads (the first) and moves (the
    second): this alone decides whether, in generation, the next coupling's net reads fresh noise
    (`"read"`, the paper) or signal (`"moved"`, openai/glow). `precision` and `edge` are those of
    the learned prior's net, as of `CouplingNet`; dense layers have no edge.
    Source: Dinh et al. 2016; the learned prior is Kingma & Dhariwal's public code's.

    Raises:
        ValueError: if `scale` is no `Scale`, or another field none of the above.
    """

    leaves: Literal["read", "moved"] = "read"
    prior: Prior = "standard"
    scale: Scale = field(default_factory=Exponential)
    precision: Precision = "highest"
    edge: bool = False

    def __post_init__(self) -> None:
        check_choice("Split.leaves", self.leaves, ("read", "moved"))
        check_choice("Split.prior", self.prior, get_args(Prior))
        check_choice("Split.precision", self.precision, get_args(Precision))
        check_choice("Split.edge", self.edge, (False, True))
        if not isinstance(self.scale, Scale):
            raise expected(
                "Split.scale", "a Scale", got=repr(self.scale), advice="build one, as Exponential()"
            )

    def init(self, key: Key, x: Event) -> Params:
        check_event("Split", x, min_channels=2)
        if self.prior == "standard":
            return ()
        stays, leaves = self._part(x)
        if self.prior == "places":
            zeros = jnp.zeros(leaves.shape[1:], x.dtype)
            return {"mean": zeros, "raw": zeros}
        return self._net(stays, leaves).init(key, stays)["params"]

    def forward(self, params: Params, x: Event) -> tuple[tuple[Event, Event], LogDet]:
        stays, leaves = self._part(x)
        if self.prior == "standard":
            return (stays, leaves), zero_log_det(x)
        mean, raw = self._prior(params, stays, leaves)
        eps = (leaves - mean) * self.scale.reciprocal(raw)
        return (stays, eps), -sum_events(self.scale.log(raw))

    def inverse(self, params: Params, z: tuple[Event, Event]) -> tuple[Event, LogDet]:
        stays, noise = z
        if stays.shape[:-1] != noise.shape[:-1] or abs(stays.shape[-1] - noise.shape[-1]) > 1:
            raise expected(
                "Split.inverse",
                "two halves of one image",
                got=f"shapes {stays.shape} and {noise.shape}",
                advice="pass latents in the shapes that forward returned",
            )
        if self.prior == "standard":
            return self._join(stays, noise), zero_log_det(stays)
        mean, raw = self._prior(params, stays, noise)
        leaves = noise * self.scale.value(raw) + mean
        return self._join(stays, leaves), sum_events(self.scale.log(raw))

    def log_std(self, params: Params, z: tuple[Event, Event]) -> Event:
        """``log std`` of a learned prior, in the shape of the half that leaves."""
        return self.scale.log(self._prior(params, *z)[1])

    def _prior(self, params: Params, stays: Event, leaves: Event) -> tuple[Event, Event]:
        if self.prior == "places":
            _check_places("Split", leaves, params["mean"])
            zeros = jnp.zeros_like(leaves)
            return params["mean"] + zeros, params["raw"] + zeros
        channels = leaves.shape[-1]
        fields = cast(Event, self._net(stays, leaves).apply({"params": params}, stays))
        return fields[..., :channels], fields[..., channels:]

    def _net(self, stays: Event, leaves: Event) -> ZeroConv | ZeroDense:
        channels = 2 * leaves.shape[-1]
        if stays.ndim == 4:
            return ZeroConv(channels, precision=self.precision, edge=self.edge)
        return ZeroDense(channels, precision=self.precision)

    def _part(self, x: Event) -> tuple[Event, Event]:
        """The half that stays and the half that leaves."""
        read, moved = halves(x)
        return (moved, read) if self.leaves == "read" else (read, moved)

    def _join(self, stays: Event, leaves: Event) -> Event:
        order = (leaves, stays) if self.leaves == "read" else (stays, leaves)
        return jnp.concatenate(order, axis=-1)


@dataclass(frozen=True)
class LearnedPrior(Bijector):
    """``z = (x - mean) exp(-3 log_std)`` per channel, zero at first: the learned prior of the top.

    It is openai/glow's learned top prior, seen as a map to standard normal noise. With `places`
    mean and log_std are those of every number of an event, not of a channel.

    With `context_features` a context of so many is read: ``mean + c W_mean`` and ``log_std + c
    W_log_std`` stand in their places, both W zero at first. Of class labels that is openai/glow's
    conditional prior, a mean and a deviation per class and channel.

    Raises:
        ValueError: if `places` is neither, or `context_features` no whole number above 0 or None.
    """

    places: bool = False
    context_features: int | None = None

    def __post_init__(self) -> None:
        check_choice("LearnedPrior.places", self.places, (False, True))
        if self.context_features is not None:
            check_count("LearnedPrior.context_features", self.context_features)

    @property
    def context_shape(self) -> tuple[int, ...] | None:
        return None if self.context_features is None else (self.context_features,)

    def init(self, key: Key, x: Event) -> Params:
        del key
        check_event("LearnedPrior", x)
        zeros = jnp.zeros(x.shape[1:] if self.places else x.shape[-1:], x.dtype)
        params = {"mean": zeros, "log_std": zeros}
        if self.context_features is None:
            return params
        rows = jnp.zeros((self.context_features, *zeros.shape), x.dtype)
        return {**params, "context": {"mean": rows, "log_std": rows}}

    def condition(self, params: Params, context: Rows) -> Params:
        return params if self.context_shape is None else give(params, context)

    def forward(
        self, params: Params, x: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.given(params, context)
        mean, log_std = self._fields("LearnedPrior", params, x)
        return (x - mean) * jnp.exp(-log_std), self._log_det(x, -log_std)

    def inverse(
        self, params: Params, z: Event, context: Context | None = None
    ) -> tuple[Event, LogDet]:
        params = self.given(params, context)
        mean, log_std = self._fields("LearnedPrior.inverse", params, z)
        return z * jnp.exp(log_std) + mean, self._log_det(z, log_std)

    def log_std(self, params: Params) -> Float[Array, "*_ channels"]:
        """``log std`` of every channel, or of every number; with a context of every row of it."""
        return LOG_SCALE_FACTOR * self._field(params, "log_std")

    def _fields(self, where: str, params: Params, x: Event) -> tuple[Array, Array]:
        """Mean and log std, which broadcast against `x`."""
        own = without(params)["mean"]
        check_channels(where, x, own.shape[-1])
        if self.places:
            _check_places(where, x, own)
        mean, log_std = self._field(params, "mean"), self.log_std(params)
        if self.context_shape is None:
            return mean, log_std
        held_by(where, params, x)
        return at_places(where, mean, x), at_places(where, log_std, x)

    def _field(self, params: Params, name: str) -> Float[Array, "*_ channels"]:
        own = without(params)
        if not isinstance(params, Given) or self.context_shape is None:
            return own[name]
        weights = own["context"][name]
        context = params.context.astype(weights.dtype)
        return own[name] + jnp.tensordot(context, weights, 1, precision=PRECISION)

    def _log_det(self, x: Event, logs: Float[Array, "*_ channels"]) -> LogDet:
        if self.context_shape is not None:
            return sum_events(jnp.broadcast_to(logs, x.shape))
        if self.places:
            zeros = zero_log_det(x)
            return zeros + logs.sum().astype(zeros.dtype)
        return constant_log_det(x, logs.sum())


def _check_places(where: str, x: Event, own: Float[Array, "*places channels"]) -> None:
    """Raises unless events have the shape of parameters, one for every number."""
    if x.shape[1:] != own.shape:
        raise expected(
            where,
            f"events of shape {own.shape} as the parameters",
            got=x.shape[1:],
            advice="initialize the parameters with inputs of this shape",
        )
