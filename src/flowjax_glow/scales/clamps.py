"""Scales whose logarithm is clamped smoothly, by the same constants at any depth."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from flowjax_glow.errors import check_positive
from flowjax_glow.scales.base import Raw, Scale


@dataclass(frozen=True)
class SymmetricScale(Scale):
    """A scale with ``|log s| < alpha``, equally free to shrink and to grow.

    Raises:
        ValueError: if `alpha` is not above 0 and finite.
    """

    alpha: float = 1.9

    def __post_init__(self) -> None:
        check_positive(f"{type(self).__name__}.alpha", self.alpha)

    @property
    def log_bounds(self) -> tuple[float, float]:
        return -self.alpha, self.alpha


@dataclass(frozen=True)
class SoftClamp(SymmetricScale):
    """``log s = alpha (2/pi) atan(h / alpha)``: FrEIA's soft clamp (Ardizzone et al. 2019).

    Raises:
        ValueError: if `alpha` is not above 0 and finite.
    """

    def log(self, raw: Raw) -> Raw:
        return self.alpha * (2 / math.pi) * jnp.arctan(raw / self.alpha)

    @property
    def reciprocal_slope(self) -> float:
        t = self.alpha / math.pi  # where -h / alpha is when the slope is largest
        return (2 / math.pi) / (1 + t * t) * math.exp(self.alpha * (2 / math.pi) * math.atan(t))

    @property
    def log_slope(self) -> float:
        return 2 / math.pi


@dataclass(frozen=True)
class AsymmetricClamp(Scale):
    """`SoftClamp` with a bound for each side: `alpha` below h = 0, `beta` from there on.

    ``log s = a (2/pi) atan(h / a)`` in (-alpha, beta), with the slope 2/pi at 0 from both sides.
    Source: Andrade 2024, "Stable training of normalizing flows for high-dimensional variational
    inference", where generation multiplies by what we divide by; so alpha is its bound of growth in
    generation, 0.1 at any depth, and beta that of shrinking, 2.

    Raises:
        ValueError: if a bound is not above 0 and finite.
    """

    alpha: float = 0.1
    beta: float = 2.0

    def __post_init__(self) -> None:
        check_positive("AsymmetricClamp.alpha", self.alpha)
        check_positive("AsymmetricClamp.beta", self.beta)

    def log(self, raw: Raw) -> Raw:
        bound = jnp.where(raw < 0, self.alpha, self.beta).astype(raw.dtype)
        return bound * (2 / math.pi) * jnp.arctan(raw / bound)

    @property
    def log_bounds(self) -> tuple[float, float]:
        return -self.alpha, self.beta

    @property
    def reciprocal_slope(self) -> float:
        return SoftClamp(self.alpha).reciprocal_slope  # above 0 it is at most the slope at 0

    @property
    def log_slope(self) -> float:
        return 2 / math.pi


@dataclass(frozen=True)
class TanhExponential(SymmetricScale):
    """``log s = alpha tanh(h)`` with a fixed alpha (RealNVP, Dinh et al. 2016, learns it).

    Raises:
        ValueError: if `alpha` is not above 0 and finite.
    """

    alpha: float = 1.0

    def log(self, raw: Raw) -> Raw:
        return self.alpha * jnp.tanh(raw)

    @property
    def reciprocal_slope(self) -> float:
        return self.alpha * tanh_slope(self.alpha)

    @property
    def log_slope(self) -> float:
        return self.alpha


def tanh_slope(limit: float) -> float:
    """``max over |u| < 1 of (1 - u^2) e^(limit u)``."""
    u = (math.sqrt(1 + limit * limit) - 1) / limit
    return (1 - u * u) * math.exp(limit * u)


@dataclass(frozen=True)
class TanhSoftplus(Scale):
    """``1 / s = softplus(log(e - 1) - c tanh(h / c))``, 1 at the start, the same at any depth.

    Source: Gu et al. 2025 (STARFlow), public code: its `get_proj_out` gives ``c tanh(x / c)`` of a
    net's raw output x, of shifts (`AffineCoupling.shift_limit`) and scales alike; the released
    models have c = 4 and this softplus. With an exponential in its place, the other choice of that
    code, s is that of ``DepthScaled(c, steps=1)``. The sign of h is the other way round there.

    Raises:
        ValueError: if `c` is not above 0 and finite.
    """

    c: float = 4.0

    def __post_init__(self) -> None:
        check_positive("TanhSoftplus.c", self.c)

    def log(self, raw: Raw) -> Raw:
        return -jnp.log(self.reciprocal(raw))

    def reciprocal(self, raw: Raw) -> Raw:
        return jax.nn.softplus(_SOFTPLUS_START - self.c * jnp.tanh(raw / self.c))

    @property
    def log_bounds(self) -> tuple[float, float]:
        return -math.log(_softplus_after_start(self.c)), -math.log(_softplus_after_start(-self.c))

    @property
    def reciprocal_slope(self) -> float:
        return max(slope for slope, _ in self._slopes())

    @property
    def log_slope(self) -> float:
        return max(slope * s for slope, s in self._slopes())

    def _slopes(self) -> Iterator[tuple[float, float]]:
        """``|d(1/s)/dh| = sigma(u) (1 - t^2)`` and s, where tanh(h / c) is t, on a fine grid.

        The largest has no closed form; the grid misses it by less than 1e-5 of it where c < 20.
        """
        for index in range(-_GRID, _GRID + 1):
            t = index / _GRID
            softplus = _softplus_after_start(-self.c * t)
            yield -math.expm1(-softplus) * (1 - t * t), 1 / softplus


#: Where softplus is 1; the number of steps from tanh = 0 to 1.
_SOFTPLUS_START, _GRID = math.log(math.e - 1), 5000


def _softplus_after_start(u: float) -> float:
    return math.log1p(math.exp(_SOFTPLUS_START + u))
