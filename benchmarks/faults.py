"""Flows that can carry a fault in any sub-layer, and faults to hide in them.

`prepared` gives a trained GLOW the places that a fault needs: a sign for every log-det, a number
that is added to every log s, a learned prior that gives 0 and 1. The map stays what it was, and one
compiled program serves all faults.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax_glow import bijectors
from flowjax_glow.bijector import Bijector
from flowjax_glow.bijectors import Split
from flowjax_glow.channels import Affine, ChannelAffine
from flowjax_glow.combinators import Chain, MultiScale, Repeat
from flowjax_glow.diagnostics.blame import Kind
from flowjax_glow.numerics import LOG_SCALE_FACTOR
from flowjax_glow.scales import Exponential, Scale
from flowjax_glow.types import Image, Latents, LogDet, Params
from flowjax_glow.walk import flatten_records, walk_forward


class Plant(NamedTuple):
    """A fault: what it is and where, as a report names it."""

    kind: Kind
    layer: str


class _Signed(Bijector):
    """The log-det of a bijector times ``params["sign"]``, in both directions."""

    def forward(self, params: Params, x: Image) -> tuple[Image, LogDet]:
        z, log_det = super().forward(params, x)
        return z, params["sign"] * log_det

    def inverse(self, params: Params, z: Image) -> tuple[Image, LogDet]:
        x, log_det = super().inverse(params, z)
        return x, params["sign"] * log_det


class _SignedAffine(ChannelAffine):
    """The same of what a chain folds."""

    def affine(self, params: Params) -> Affine:
        return self._signed(params, super().affine(params))

    def inverse_affine(self, params: Params) -> Affine:
        return self._signed(params, super().inverse_affine(params))

    def _signed(self, params: Params, affine: Affine) -> Affine:
        return affine._replace(log_abs_det=params["sign"] * affine.log_abs_det)


@dataclass(frozen=True)
class ActNorm(_Signed, _SignedAffine, bijectors.ActNorm):
    """An actnorm whose log-det may have the wrong sign."""


@dataclass(frozen=True)
class InvertibleConv(_SignedAffine, bijectors.InvertibleConv):
    """A 1x1 convolution whose log-det may have the wrong sign; its maps are those it folds."""


@dataclass(frozen=True)
class _Added(Scale):
    """``log s + a``, where the raw numbers and a come stacked."""

    scale: Scale

    @property
    def raw_count(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.scale.raw_count

    def log(self, raw: jax.Array) -> jax.Array:
        return self.scale.log(raw[0]) + raw[1]

    @property
    def log_bounds(self) -> tuple[float, float]:
        return self.scale.log_bounds


@dataclass(frozen=True)
class AffineCoupling(_Signed, bijectors.AffineCoupling):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A coupling with ``log s + a``, a by place and channel; images may be smaller than a."""

    def _fields(self, params: Params, read: Image, moved: Image) -> tuple[Image, Any]:
        net = {name: own for name, own in params.items() if name not in ("sign", "added")}
        shift, raw = super()._fields(net, read, moved)
        _, height, width, _ = moved.shape
        added = jnp.broadcast_to(params["added"][:height, :width], raw.shape)
        return shift, jnp.stack([raw, added])


def prepared(
    flow: MultiScale, params: Params, shape: tuple[int, int, int]
) -> tuple[MultiScale, Params]:
    """The same map, ready for faults; `shape` is that of an image."""
    height, width, channels = shape
    levels, own_levels, splits, own_splits = [], [], [], []
    for index, (level, own) in enumerate(zip(flow.levels, params["levels"], strict=True)):
        assert isinstance(level, Chain)
        height, width, channels = height // 2, width // 2, 4 * channels
        squeeze, repeat, *rest = level.bijectors
        own_squeeze, steps, *own_rest = own
        assert isinstance(repeat, Repeat)
        assert isinstance(repeat.step, Chain)
        parts = zip(repeat.step.bijectors, steps, strict=True)
        added = jnp.zeros((repeat.depth, height, width, channels - channels // 2))
        rows = [_ready(bijector, step, added) for bijector, step in parts]
        step = Chain(*(bijector for bijector, _ in rows))
        x = jnp.zeros((1, height, width, channels))
        if index < len(flow.splits):
            split = flow.splits[index]
            assert isinstance(split, bijectors.Split)
            own_split = params["splits"][index]
            if split.prior == "standard":
                split = replace(split, prior="learned", scale=Exponential())
                own_split = split.init(jax.random.key(0), x)
            splits.append(split)
            own_splits.append(own_split)
            channels = split.forward(own_split, x)[0][0].shape[-1]
        elif not isinstance(level.bijectors[-1], bijectors.LearnedPrior):
            prior = bijectors.LearnedPrior()
            rest, own_rest = [*rest, prior], [*own_rest, prior.init(jax.random.key(0), x)]
        levels.append(Chain(squeeze, replace(repeat, step=step), *rest))
        own_levels.append((own_squeeze, tuple(own for _, own in rows), *own_rest))
    ready = {"levels": tuple(own_levels), "splits": tuple(own_splits)}
    return MultiScale(tuple(levels), tuple(splits)), ready


def _ready(bijector: Bijector, own: Params, added: jax.Array) -> tuple[Bijector, Params]:
    sign = jnp.ones(len(added))
    match bijector:
        case bijectors.ActNorm():
            return ActNorm(**_settings(bijector)), {**own, "sign": sign}
        case bijectors.InvertibleConv():
            return InvertibleConv(**_settings(bijector)), {**own, "sign": sign}
        case bijectors.AffineCoupling():
            settings = _settings(replace(bijector, scale=_Added(bijector.scale)))
            return AffineCoupling(**settings), {**own, "sign": sign, "added": added}
    return bijector, own


def _settings(
    bijector: bijectors.ActNorm | bijectors.InvertibleConv | bijectors.AffineCoupling,
) -> dict[str, Any]:
    return {field.name: getattr(bijector, field.name) for field in fields(bijector)}


class Planting:
    """Hides faults in a flow that is `prepared`, one after the other."""

    def __init__(
        self,
        flow: MultiScale,
        params: Params,
        shape: tuple[int, int, int],
        random: np.random.Generator,
    ) -> None:
        self.flow, self.params = flow, params
        self._shape, self._random = shape, random

    def plant(self, kind: Kind) -> Plant:
        """A fault of a kind at a random layer."""
        return Plant(kind, KINDS[kind](self))

    def rescale(self) -> None:
        """No fault: every actnorm is multiplied by a power of two that its matrix divides by."""
        for level in range(len(self.flow.levels)):
            weight = self._own(level, "InvertibleConv")["weight"]
            actnorm = self._step(level)[0]
            assert isinstance(actnorm, ActNorm)
            powers = jnp.asarray(self._random.integers(-12, 13, len(weight)), jnp.float32)[:, None]
            log_scale = self._own(level, "ActNorm")["log_scale"]
            log_scale += powers * (np.log(2) / actnorm.factor)
            every = slice(None)
            self._change(level, every, "ActNorm", log_scale=log_scale)
            weight *= 2.0 ** -powers[..., None]
            self._change(level, every, "InvertibleConv", weight=weight)

    def scale_near_zero(self) -> str:
        """On one channel, at one place or everywhere: log s becomes 14 to 20 less."""
        level, step = self._place()
        added = self._own(level, "AffineCoupling")["added"]
        *sides, channels = added.shape[1:]
        where = [self._random.integers(side) for side in sides]
        place = tuple(where) if self._random.integers(2) else (slice(None), slice(None))
        at = (step, *place, self._random.integers(channels))
        added = added.at[at].set(-self._random.uniform(14, 20))
        return self._change(level, step, "AffineCoupling", added=added)

    def matrix_near_singular(self) -> str:
        """The smallest singular value becomes 1e-8 to 1e-6 of the largest."""
        level, step = self._place()
        weight = self._own(level, "InvertibleConv")["weight"]
        u, s, v = np.linalg.svd(np.asarray(weight[step], np.float64))
        s[-1] = s[0] * 10 ** self._random.uniform(-8, -6)
        weight = weight.at[step].set(jnp.asarray((u * s) @ v, jnp.float32))
        return self._change(level, step, "InvertibleConv", weight=weight)

    def wrong_log_det(self) -> str:
        """Of the sign, of whichever part of a step has a log-det."""
        level, step = self._place()
        names = ["ActNorm", "InvertibleConv"]
        coupling = self._step(level)[2]
        assert isinstance(coupling, AffineCoupling)
        if coupling.scale.raw_count:
            names.append("AffineCoupling")
        name = names[self._random.integers(len(names))]
        sign = self._own(level, name)["sign"].at[step].set(-1)
        return self._change(level, step, name, sign=sign)

    def nan_weight(self) -> str:
        """One number of a net's kernel."""
        level, step = self._place()
        name = ("first", "second", "last")[self._random.integers(3)]
        layer = self._own(level, "AffineCoupling")[name]
        at = (step, *(self._random.integers(side) for side in layer["kernel"].shape[1:]))
        layer = {**layer, "kernel": layer["kernel"].at[at].set(jnp.nan)}
        return self._change(level, step, "AffineCoupling", **{name: layer})

    def permutation_redrawn(self) -> str:
        level, step = self._place()
        indices = self._own(level, "Permutation")["indices"]
        drawn = self._random.permutation(indices.shape[-1]).astype(np.int32)
        return self._change(level, step, "Permutation", indices=indices.at[step].set(drawn))

    def actnorm_started_anew(self) -> str:
        """On a batch of noise that reaches it, as where a lost flag meets a first, dummy call."""
        level, step = self._place()
        name = f"level{level}/step{step}/ActNorm"
        x = self._entering(name)
        actnorm = self._step(level)[self._names(level).index("ActNorm")]
        started = actnorm.init(jax.random.key(0), x)
        own = self._own(level, "ActNorm")
        values = {name: own[name].at[step].set(value) for name, value in started.items()}
        return self._change(level, step, "ActNorm", **values)

    def prior_without_bound(self) -> str:
        """Of one channel: std is exp of 8 to 20 times a channel of what stays, or of 8 to 20.

        At the top, or at a split whose scale has no bound.
        """
        steep = self._random.uniform(8, 20)
        bounds = [split.scale.log_bounds for split in self.flow.splits if isinstance(split, Split)]
        unbounded = [index for index, pair in enumerate(bounds) if not np.isfinite(pair).all()]
        index = int(self._random.choice([*unbounded, len(bounds)]))
        if index == len(self.params["splits"]):  # the top
            (*rest, own) = self.params["levels"][-1]
            channel = self._random.integers(len(own["log_std"]))
            log_std = own["log_std"].at[channel].set(steep / LOG_SCALE_FACTOR)
            self._set_level(index, (*rest, {**own, "log_std": log_std}))
            return f"level{index}/LearnedPrior"
        splits = list(self.params["splits"])
        kernel = splits[index]["kernel"]
        leaving = kernel.shape[-1] // 2 + self._random.integers(kernel.shape[-1] // 2)
        at = (1, 1, self._random.integers(kernel.shape[2]), leaving)
        splits[index] = {**splits[index], "kernel": kernel.at[at].set(steep)}
        self.params = {**self.params, "splits": tuple(splits)}
        return f"level{index}/Split"

    def _entering(self, layer: str) -> Image:
        """What noise in the range of images is where it reaches a sub-layer."""
        noise = self._random.uniform(-0.5, 0.5, (32, *self._shape)).astype(np.float32)
        records = _entering(self.flow, self.params, jnp.asarray(noise))
        return next(x for name, _, x in flatten_records(self.flow, records) if name == layer)

    def _place(self) -> tuple[int, int]:
        level = int(self._random.integers(len(self.flow.levels)))
        return level, int(self._random.integers(self._repeat(level).depth))

    def _repeat(self, level: int) -> Repeat:
        chain = self.flow.levels[level]
        assert isinstance(chain, Chain)
        repeat = chain.bijectors[1]
        assert isinstance(repeat, Repeat)
        return repeat

    def _step(self, level: int) -> tuple[Bijector, ...]:
        step = self._repeat(level).step
        assert isinstance(step, Chain)
        return step.bijectors

    def _names(self, level: int) -> list[str]:
        return [type(bijector).__name__ for bijector in self._step(level)]

    def _own(self, level: int, name: str) -> Params:
        return self.params["levels"][level][1][self._names(level).index(name)]

    def _change(self, level: int, step: int | slice, name: str, **values: Any) -> str:
        squeeze, steps, *rest = self.params["levels"][level]
        steps = list(steps)
        index = self._names(level).index(name)
        steps[index] = {**steps[index], **values}
        self._set_level(level, (squeeze, tuple(steps), *rest))
        return f"level{level}/step{step}/{name}"

    def _set_level(self, level: int, own: tuple[Params, ...]) -> None:
        levels = list(self.params["levels"])
        levels[level] = own
        self.params = {**self.params, "levels": tuple(levels)}


@partial(jax.jit, static_argnums=0)
def _entering(flow: MultiScale, params: Params, images: Image) -> Any:
    def visit(
        bijector: Bijector, own: Params, x: Latents, z: Latents, log_det: LogDet
    ) -> tuple[Latents, Latents]:
        return z, x

    return walk_forward(flow, params, images, visit)[2]


KINDS: dict[Kind, Callable[[Planting], str]] = {
    "scale near zero": Planting.scale_near_zero,
    "matrix near singular": Planting.matrix_near_singular,
    "wrong log-det": Planting.wrong_log_det,
    "parameters not finite": Planting.nan_weight,
    "permutation lost": Planting.permutation_redrawn,
    "actnorm started anew": Planting.actnorm_started_anew,
    "prior without bound": Planting.prior_without_bound,
}
