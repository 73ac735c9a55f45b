"""Invertible 1x1 convolutions: one matrix that mixes the channels of every pixel."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.linalg import lu, lu_factor, lu_solve, solve_triangular
from jaxtyping import Array, Float

from flowjax_glow.bijector import Bijector
from flowjax_glow.numerics import PRECISION, check_image, constant_log_det
from flowjax_glow.types import Image, Key, LogDet, Params

Matrix = Float[Array, "channels channels"]


def random_orthogonal(key: Key, x: Image) -> Matrix:
    """A matrix drawn uniformly from the orthogonal group, of the channels and dtype of `x`."""
    return jax.random.orthogonal(key, x.shape[-1], dtype=x.dtype)


class ChannelMixing(Bijector):
    r"""``z = x W`` at every pixel, ``log|det| = height * width * log|det W|``.

    The inverse multiplies by ``W^-1``, which triangular solves give anew at every call, or once and
    for all with parameters from `freeze`. Source: Kingma & Dhariwal 2018, section 3.2.
    """

    def forward(self, params: Params, x: Image) -> tuple[Image, LogDet]:
        z = jnp.matmul(x, self.weight(params), precision=PRECISION)
        return z, constant_log_det(x, self.log_abs_det(params))

    def inverse(self, params: Params, z: Image) -> tuple[Image, LogDet]:
        x = jnp.matmul(z, self.inverse_weight(params), precision=PRECISION)
        return x, constant_log_det(z, -self.log_abs_det(params))

    def freeze(self, params: Params) -> Params:
        return {**params, "inverse_weight": self.inverse_weight(params)}

    def inverse_weight(self, params: Params) -> Matrix:
        """``W^-1``, from the cache if `freeze` has filled it."""
        if "inverse_weight" in params:
            return params["inverse_weight"]
        # Solving for the matrix once and multiplying beats solving for every pixel tenfold.
        weight = self.weight(params)
        return self.solve(params, jnp.eye(weight.shape[-1], dtype=weight.dtype)).T

    def weight(self, params: Params) -> Matrix:
        """``W``."""
        raise NotImplementedError

    def log_abs_det(self, params: Params) -> Float[Array, ""]:
        """``log|det W|``."""
        raise NotImplementedError

    def solve(
        self, params: Params, columns: Float[Array, "channels count"]
    ) -> Float[Array, "channels count"]:
        """The solutions y of ``W^T y = column``, one per column."""
        raise NotImplementedError


@dataclass(frozen=True)
class InvertibleConv(ChannelMixing):
    """The dense form: W itself is the parameter, a random rotation at first."""

    def init(self, key: Key, x: Image) -> Params:
        check_image("InvertibleConv", x)
        return {"weight": random_orthogonal(key, x)}

    def weight(self, params: Params) -> Matrix:
        return params["weight"]

    def log_abs_det(self, params: Params) -> Float[Array, ""]:
        return jnp.linalg.slogdet(params["weight"])[1]

    def solve(
        self, params: Params, columns: Float[Array, "channels count"]
    ) -> Float[Array, "channels count"]:
        return lu_solve(lu_factor(params["weight"]), columns, trans=1)


@dataclass(frozen=True)
class InvertibleConvLU(ChannelMixing):
    r"""The LU form ``W = P L (U + diag(sign exp(log_diagonal)))``.

    P and the signs are those of a random rotation and stay fixed (integer leaves); L is unit lower
    and U strictly upper triangular. ``log|det W| = sum(log_diagonal)``, so it is never singular.
    """

    def init(self, key: Key, x: Image) -> Params:
        check_image("InvertibleConvLU", x)
        permutation, lower, upper = lu(random_orthogonal(key, x))
        diagonal = jnp.diag(upper)
        return {
            "rows": jnp.argmax(permutation, axis=1).astype(jnp.int32),
            "lower": lower,
            "upper": upper,
            "sign": jnp.sign(diagonal).astype(jnp.int32),
            "log_diagonal": jnp.log(jnp.abs(diagonal)),
        }

    def weight(self, params: Params) -> Matrix:
        product = jnp.matmul(self._lower(params), self._upper(params), precision=PRECISION)
        return product[params["rows"]]

    def log_abs_det(self, params: Params) -> Float[Array, ""]:
        return params["log_diagonal"].sum()

    def solve(
        self, params: Params, columns: Float[Array, "channels count"]
    ) -> Float[Array, "channels count"]:
        # W^T y = (P L U)^T y = U^T L^T P^T y
        half = solve_triangular(self._upper(params), columns, trans=1)
        permuted = solve_triangular(self._lower(params), half, trans=1, lower=True)
        return permuted[params["rows"]]

    def _lower(self, params: Params) -> Matrix:
        lower = params["lower"]
        return jnp.tril(lower, -1) + jnp.eye(lower.shape[-1], dtype=lower.dtype)

    def _upper(self, params: Params) -> Matrix:
        diagonal = params["sign"].astype(params["upper"].dtype) * jnp.exp(params["log_diagonal"])
        return jnp.triu(params["upper"], 1) + jnp.diag(diagonal)
