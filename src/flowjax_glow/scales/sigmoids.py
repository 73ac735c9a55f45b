"""Scales made of the logistic function."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from flowjax_glow.errors import check_positive, expected
from flowjax_glow.scales.base import Raw, Scale

#: Kingma & Dhariwal's code starts the sigmoid at sigma(2) = 0.88 instead of 0.5, so that a chain of
#: fresh steps does not shrink its input to nothing.
SIGMOID_SHIFT = 2.0


@jax.custom_jvp
def log_sigmoid(u: Raw) -> Raw:
    """``log sigma(u)``; leaner than `jax.nn`'s, in value and derivative."""
    return jnp.minimum(u, 0) - jnp.log1p(jnp.exp(-jnp.abs(u)))


@log_sigmoid.defjvp
def _(primals: tuple[Raw], tangents: tuple[Raw]) -> tuple[Raw, Raw]:
    return log_sigmoid(*primals), jax.nn.sigmoid(-primals[0]) * tangents[0]


class SigmoidScale(Scale):
    """``s = low + (high - low) sigma(h + start)`` with constants of the subclass; low is 0 or more.

    Without a floor the logarithm is that of the logistic function, which never underflows; with one
    it is that of s, which cannot.
    """

    @abstractmethod
    def _form(self) -> tuple[float, float, float]:
        """low, high, start."""

    def log(self, raw: Raw) -> Raw:
        low, high, start = self._form()
        if low:
            return jnp.log(self.value(raw))
        return math.log(high) + log_sigmoid(raw + start)

    def value(self, raw: Raw) -> Raw:
        low, high, start = self._form()
        return low + (high - low) * jax.nn.sigmoid(raw + start)

    def reciprocal(self, raw: Raw) -> Raw:
        low, high, start = self._form()
        if low:
            return jnp.exp(-self.log(raw))
        return (1 + jnp.exp(-(raw + start))) / high

    @property
    def log_bounds(self) -> tuple[float, float]:
        low, high, _ = self._form()
        return math.log(low) if low else -math.inf, math.log(high)

    @property
    def reciprocal_slope(self) -> float:
        # of sigma' / s^2, largest where s is the harmonic mean of its bounds
        low, high, _ = self._form()
        return (high - low) / (4 * low * high) if low else math.inf

    @property
    def log_slope(self) -> float:
        # of sigma (1 - sigma) / (r + sigma), largest where s is the geometric mean of its bounds
        low, high, _ = self._form()
        r = low / (high - low)
        return (math.sqrt(1 + r) - math.sqrt(r)) ** 2


@dataclass(frozen=True)
class Sigmoid(SigmoidScale):
    """``s = sigma(h + 2)``: GLOW's own, with no floor (Kingma & Dhariwal 2018). The control."""

    def _form(self) -> tuple[float, float, float]:
        return 0.0, 1.0, SIGMOID_SHIFT


@dataclass(frozen=True)
class Biased(SigmoidScale):
    """``s = sigma(h + 2) + b``: the paper's biased sigmoid, range (b, 1 + b).

    Raises:
        ValueError: if `b` is not above 0 and finite.
    """

    b: float = 0.1

    def __post_init__(self) -> None:
        check_positive("Biased.b", self.b)

    def _form(self) -> tuple[float, float, float]:
        return self.b, 1 + self.b, SIGMOID_SHIFT


@dataclass(frozen=True)
class Bounded(SigmoidScale):
    """``s = a + (b - a) sigma(h + 2)``: the paper's bounded net, range (a, b).

    Raises:
        ValueError: if `a` is not above 0, or `b` not above `a` and finite.
    """

    a: float = 0.5
    b: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.a < self.b < math.inf:
            raise expected(
                "Bounded",
                "0 < a < b",
                got=f"a={self.a}, b={self.b}",
                advice="raise a above 0 and keep it below b",
            )

    def _form(self) -> tuple[float, float, float]:
        return self.a, self.b, SIGMOID_SHIFT


@dataclass(frozen=True)
class TwoSigmoid(SigmoidScale):
    """``s = 2 sigma(h)``: Jet's, 1 at the start, with no floor (Kolesnikov et al. 2024)."""

    def _form(self) -> tuple[float, float, float]:
        return 0.0, 2.0, 0.0


@dataclass(frozen=True)
class OnePlusExponential(Scale):
    """``s = 1 + exp(h - 2)``, a reciprocal sigmoid: normflows' ``scale_map="sigmoid_inv"``.

    There generation multiplies by ``sigma(raw + 2)``, and h is minus raw.
    """

    def log(self, raw: Raw) -> Raw:
        return -log_sigmoid(SIGMOID_SHIFT - raw)

    def reciprocal(self, raw: Raw) -> Raw:
        return jax.nn.sigmoid(SIGMOID_SHIFT - raw)

    @property
    def log_bounds(self) -> tuple[float, float]:
        return 0.0, math.inf

    @property
    def reciprocal_slope(self) -> float:
        return 0.25

    @property
    def log_slope(self) -> float:
        return 1.0
