"""The channels of an event, its last axis: their halves, and maps that act at every place alike."""

import functools
from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.errors import check_channels
from flowjax_glow.numerics import PRECISION, constant_log_det
from flowjax_glow.types import Event, Key, LogDet, Params

Matrix = Float[Array, "channels channels"]
Vector = Float[Array, " channels"]


class Affine(NamedTuple):
    """``x -> (x - center) matrix + shift`` with ``log|det matrix|``.

    The center is subtracted first: of a nearly constant channel with a large scale the product
    ``x matrix`` and a shift of all of it would cancel, and keep no digits of what varies.
    """

    center: Vector
    matrix: Matrix
    shift: Vector
    log_abs_det: Float[Array, ""]

    def then(self, other: "Affine") -> "Affine":
        """This map followed by another."""
        between = self.shift - other.center
        return Affine(
            self.center,
            jnp.matmul(self.matrix, other.matrix, precision=PRECISION),
            jnp.matmul(between, other.matrix, precision=PRECISION) + other.shift,
            self.log_abs_det + other.log_abs_det,
        )

    def __call__(self, x: Event) -> tuple[Event, LogDet]:
        """The image of `x`, and the log-det."""
        check_channels("channels", x, self.center.size)
        z = jnp.matmul(x - self.center, self.matrix, precision=PRECISION) + self.shift
        return z, constant_log_det(x, self.log_abs_det)


class ChannelAffine(Bijector):
    """A bijector ``z = x A + b`` on the channels, which a chain may fold with its neighbours."""

    @abstractmethod
    def affine(self, params: Params) -> Affine:
        """``x -> z``."""

    @abstractmethod
    def inverse_affine(self, params: Params) -> Affine:
        """``z -> x``."""


@dataclass(frozen=True)
class Folded(Bijector):
    """Channel-affine bijectors in a row as one product, one pass over the data.

    Params are theirs, as a tuple. Equal to applying one after the other, up to rounding.
    """

    bijectors: tuple[ChannelAffine, ...]

    def init(self, key: Key, x: Event) -> Params:
        params = []
        for bijector, own in zip(self.bijectors, jax.random.split(key, len(self.bijectors))):
            params.append(bijector.init(own, x))
            x, _ = bijector.forward(params[-1], x)
        return tuple(params)

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        maps = [b.affine(own) for b, own in zip(self.bijectors, params, strict=True)]
        return functools.reduce(Affine.then, maps)(x)

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        maps = [b.inverse_affine(own) for b, own in zip(self.bijectors, params, strict=True)]
        return functools.reduce(Affine.then, reversed(maps))(z)


def halves(x: Event) -> tuple[Event, Event]:
    """The channels a coupling reads, the first ``channels // 2``, and those it moves."""
    read = x.shape[-1] // 2
    return x[..., :read], x[..., read:]
