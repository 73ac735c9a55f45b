"""Invertible 1x1 convolutions: one matrix that mixes the channels at every place."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import lu
from jaxtyping import Array, Float

from flowjax_glow.channels import Affine, ChannelAffine, Matrix
from flowjax_glow.elimination import invert
from flowjax_glow.errors import check_event
from flowjax_glow.numerics import PRECISION
from flowjax_glow.types import Event, Key, LogDet, Params


def random_orthogonal(key: Key, x: Event) -> Matrix:
    """A matrix drawn uniformly from the orthogonal group, of the channels and dtype of `x`."""
    return jax.random.orthogonal(key, x.shape[-1], dtype=x.dtype)


class Factors(NamedTuple):
    """All that a matrix W is needed for, in both directions."""

    weight: Matrix
    inverse_weight: Matrix
    log_abs_det: Float[Array, ""]


class ChannelMixing(ChannelAffine):
    r"""``z = x W`` at every place, ``log|det| = places * log|det W|``, of images height * width.

    On vectors it is an invertible linear layer.

    The inverse multiplies by ``W^-1``: solving for the small matrix once and multiplying beats
    solving for every pixel tenfold. `freeze` keeps what it takes, and so does a `Repeat`, for all
    its steps at once. Source: Kingma & Dhariwal 2018, section 3.2.
    """

    def forward(self, params: Params, x: Event) -> tuple[Event, LogDet]:
        return self.affine(params)(x)

    def inverse(self, params: Params, z: Event) -> tuple[Event, LogDet]:
        return self.inverse_affine(params)(z)

    def affine(self, params: Params) -> Affine:
        factors = self._factors(params)
        zeros = _no_shift(factors)
        return Affine(zeros, factors.weight, zeros, factors.log_abs_det)

    def inverse_affine(self, params: Params) -> Affine:
        factors = self._factors(params)
        zeros = _no_shift(factors)
        return Affine(zeros, factors.inverse_weight, zeros, -factors.log_abs_det)

    def freeze(self, params: Params) -> Params:
        return {**params, "frozen": self._factors(params)}

    def _factors(self, params: Params) -> Factors:
        return params["frozen"] if "frozen" in params else self.factorize(params)

    @abstractmethod
    def factorize(self, params: Params) -> Factors:
        """W, its inverse and its log-det from parameters that are not frozen."""


@dataclass(frozen=True)
class InvertibleConv(ChannelMixing):
    """The dense form: W itself is the parameter, a random rotation at first."""

    def init(self, key: Key, x: Event) -> Params:
        check_event("InvertibleConv", x)
        return {"weight": random_orthogonal(key, x)}

    def factorize(self, params: Params) -> Factors:
        return Factors(params["weight"], *invert(params["weight"]))


@dataclass(frozen=True)
class InvertibleConvLU(ChannelMixing):
    r"""The LU form ``W = P L (U + diag(sign exp(log_diagonal)))``.

    P and the signs are those of a random rotation and stay fixed (integer leaves); L is unit lower
    and U strictly upper triangular. ``log|det W| = sum(log_diagonal)``, so it is never singular.
    """

    def init(self, key: Key, x: Event) -> Params:
        check_event("InvertibleConvLU", x)
        permutation, lower, upper = lu(random_orthogonal(key, x))
        diagonal = jnp.diag(upper)
        return {
            "rows": jnp.argmax(permutation, axis=1).astype(jnp.int32),
            "lower": lower,
            "upper": upper,
            "sign": jnp.sign(diagonal).astype(jnp.int32),
            "log_diagonal": jnp.log(jnp.abs(diagonal)),
        }

    def factorize(self, params: Params) -> Factors:
        lower, upper = self._lower(params), self._upper(params)
        weight = jnp.matmul(lower, upper, precision=PRECISION)[params["rows"]]
        return Factors(weight, invert(weight)[0], params["log_diagonal"].sum())

    def _lower(self, params: Params) -> Matrix:
        lower = params["lower"]
        return jnp.tril(lower, -1) + jnp.eye(lower.shape[-1], dtype=lower.dtype)

    def _upper(self, params: Params) -> Matrix:
        diagonal = params["sign"].astype(params["upper"].dtype) * jnp.exp(params["log_diagonal"])
        return jnp.triu(params["upper"], 1) + jnp.diag(diagonal)


def _no_shift(factors: Factors) -> Float[Array, " channels"]:
    return jnp.zeros(factors.weight.shape[-1], factors.weight.dtype)
