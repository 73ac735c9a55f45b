r"""The remedies: how a coupling net's raw output `h` becomes a log-scale.

A coupling multiplies by `s` on the way to the latents and divides by it on the way back, so the
inverse is as good as `s` is far from zero. Each entry states ``log s``, in log-space; the two
directions are ``exp(log s)`` and ``exp(-log s)`` where no closed form is cheaper. Bounds are those
of the mathematics; float rounding may close an open end.

With ``u = h + 2`` and ``sigma`` the logistic function:

===============  ==========================================  ====================
name             s                                           range of s
===============  ==========================================  ====================
``additive``     1                                           {1}
``sigmoid``      sigma(u)                                    (0, 1)
``biased``       sigma(u) + b                                (b, 1 + b)
``bounded``      a + (b - a) sigma(u)                        (a, b)
``soft-clamp``   exp(alpha (2/pi) atan(h / alpha))           (e^-alpha, e^alpha)
``asymmetric``   the same, with beta where h is above 0      (e^-alpha, e^beta)
``tanh``         exp(alpha tanh(h))                          (e^-alpha, e^alpha)
``depth-scaled`` exp(c tanh(h / c)), c = alpha / steps       (e^-c, e^c)
``softplus``     1 / softplus(log(e - 1) - c tanh(h / c))    c = 4: (0.22, 32.3)
``two-sigmoid``  2 sigma(h)                                  (0, 2)
===============  ==========================================  ====================

`Exponential`, ``s = exp(h)``, is the deviation of a learned prior and no remedy for anything.
`OnePlusExponential`, ``s = 1 + exp(h - 2)``, is none either.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from flowjax_glow.errors import check_choice, check_count, check_positive, expected

__all__ = [
    "SCALES",
    "Additive",
    "AsymmetricClamp",
    "Biased",
    "Blend",
    "Bounded",
    "DepthScaled",
    "Exponential",
    "OnePlusExponential",
    "Scale",
    "Sigmoid",
    "SigmoidScale",
    "SoftClamp",
    "SymmetricScale",
    "TanhExponential",
    "TanhSoftplus",
    "TwoSigmoid",
    "scale_from",
]

#: Kingma & Dhariwal's code starts the sigmoid at sigma(2) = 0.88 instead of 0.5, so that a chain of
#: fresh steps does not shrink its input to nothing.
SIGMOID_SHIFT = 2.0

Raw = Float[Array, "..."]


class Scale(ABC):
    """A rising map from a net's raw output to the logarithm of a positive scale, elementwise."""

    #: Raw numbers that the net gives per moved number: 1, or 0 for a scale that learns nothing.
    raw_count: ClassVar[int] = 1

    @abstractmethod
    def log(self, raw: Raw) -> Raw:
        """``log s``, finite with finite gradients for every finite float32 `raw` up to 1e4."""

    def value(self, raw: Raw) -> Raw:
        """``s``."""
        return jnp.exp(self.log(raw))

    def reciprocal(self, raw: Raw) -> Raw:
        """``1 / s``, infinite where s underflows."""
        return jnp.exp(-self.log(raw))

    @property
    @abstractmethod
    def log_bounds(self) -> tuple[float, float]:
        """Infimum and supremum of ``log s``; -inf where s may reach 0."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Infimum and supremum of ``s``; the inverse gains at most ``1 / bounds[0]`` per step."""
        lower, upper = self.log_bounds
        return math.exp(lower), math.exp(upper)

    @property
    def reciprocal_slope(self) -> float:
        """Supremum of ``|d(1/s)/dh|``, the Lipschitz constant of the inverse's factor."""
        return math.inf

    @property
    def log_slope(self) -> float:
        """Supremum of ``|d(log s)/dh|``."""
        return math.inf

    def shared_by(self, steps: int) -> "Scale":
        """The scale to use when `steps` of it act in a chain; most ignore how many they are."""
        del steps
        return self


@dataclass(frozen=True)
class Additive(Scale):
    """``s = 1``: the coupling only shifts (Dinh et al. 2014)."""

    raw_count: ClassVar[int] = 0

    def log(self, raw: Raw) -> Raw:
        return jnp.zeros_like(raw)

    @property
    def log_bounds(self) -> tuple[float, float]:
        return 0.0, 0.0

    @property
    def reciprocal_slope(self) -> float:
        return 0.0

    @property
    def log_slope(self) -> float:
        return 0.0


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
    """``s = sigma(h + 2) + b``: the paper's biased sigmoid, range (b, 1 + b)."""

    b: float = 0.1

    def __post_init__(self) -> None:
        check_positive("Biased.b", self.b)

    def _form(self) -> tuple[float, float, float]:
        return self.b, 1 + self.b, SIGMOID_SHIFT


@dataclass(frozen=True)
class Bounded(SigmoidScale):
    """``s = a + (b - a) sigma(h + 2)``: the paper's bounded net, range (a, b)."""

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
class SymmetricScale(Scale):
    """A scale with ``|log s| < alpha``, equally free to shrink and to grow."""

    alpha: float = 1.9

    def __post_init__(self) -> None:
        check_positive(f"{type(self).__name__}.alpha", self.alpha)

    @property
    def log_bounds(self) -> tuple[float, float]:
        return -self.alpha, self.alpha


@dataclass(frozen=True)
class SoftClamp(SymmetricScale):
    """``log s = alpha (2/pi) atan(h / alpha)``: FrEIA's soft clamp (Ardizzone et al. 2019)."""

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
    """``log s = alpha tanh(h)`` with a fixed alpha (RealNVP, Dinh et al. 2016, learns it)."""

    alpha: float = 1.0

    def log(self, raw: Raw) -> Raw:
        return self.alpha * jnp.tanh(raw)

    @property
    def reciprocal_slope(self) -> float:
        return self.alpha * _tanh_slope(self.alpha)

    @property
    def log_slope(self) -> float:
        return self.alpha


@dataclass(frozen=True)
class DepthScaled(Scale):
    r"""``log s = c tanh(h / c)`` with ``c = alpha / steps``: a bound that knows the depth.

    When `steps` of them act in a chain, ``|sum log s| < alpha``: the product of the factors s
    stays between ``e^-alpha`` and ``e^alpha`` at any depth, for L levels between ``e^(-L alpha)``
    and ``e^(L alpha)``. The other parts of a step, shifts, slopes, actnorms and matrices, are not
    bounded by it. ``log s`` is ``h`` near 0.

    Without `steps` it is not ready for use: `GlowConfig` fills in the depth of a level, and
    `shared_by` does elsewhere. Used before that, it raises ValueError.

    `one_sided`, it only contracts, ``log s = (c / 2) (tanh(2 h / c) - 1)`` in (-c, 0), with the
    same slope at h = 0: to tell what growing is good for.
    """

    alpha: float = 4.0
    steps: int | None = None
    one_sided: bool = False

    def __post_init__(self) -> None:
        check_positive("DepthScaled.alpha", self.alpha)
        if self.steps is not None:
            check_count("DepthScaled.steps", self.steps)

    @property
    def limit(self) -> float:
        """The bound of one step, ``c = alpha / steps``; raises ValueError without `steps`."""
        if self.steps is None:
            raise expected(
                "DepthScaled.steps",
                "how many of these scales act in a chain",
                got="None",
                advice="pass steps=, or shared_by(depth); GlowConfig(scale=...) does it for you",
            )
        return self.alpha / self.steps

    def log(self, raw: Raw) -> Raw:
        reach, middle = self._form()
        return reach * jnp.tanh(raw / reach) + middle

    @property
    def log_bounds(self) -> tuple[float, float]:
        reach, middle = self._form()
        return middle - reach, middle + reach

    @property
    def reciprocal_slope(self) -> float:
        reach, middle = self._form()
        return _tanh_slope(reach) * math.exp(-middle)

    def _form(self) -> tuple[float, float]:
        """How far log s reaches to both sides, and of what."""
        return (self.limit / 2, -self.limit / 2) if self.one_sided else (self.limit, 0.0)

    @property
    def log_slope(self) -> float:
        return 1.0

    def shared_by(self, steps: int) -> "DepthScaled":
        return self if self.steps else dataclasses.replace(self, steps=steps)


def _tanh_slope(limit: float) -> float:
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


@dataclass(frozen=True)
class TwoSigmoid(SigmoidScale):
    """``s = 2 sigma(h)``: Jet's, 1 at the start, with no floor (Kolesnikov et al. 2024)."""

    def _form(self) -> tuple[float, float, float]:
        return 0.0, 2.0, 0.0


@dataclass(frozen=True)
class Exponential(Scale):
    """``s = exp(h)``, bounded on neither side: the deviation of openai/glow's learned prior."""

    def log(self, raw: Raw) -> Raw:
        return raw

    @property
    def log_bounds(self) -> tuple[float, float]:
        return -math.inf, math.inf

    @property
    def log_slope(self) -> float:
        return 1.0


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


@dataclass(frozen=True)
class Blend(Scale):
    """``log s = (1 - weight) log s_start + weight log s_end``: a way from one scale to another.

    Both read the same raw number, so a trained net can be led from one to the other (see
    `flowjax-glow repair`). `weight` may be traced; such a blend cannot be a static argument.
    """

    start: Scale
    end: Scale
    weight: float | Float[Array, ""]

    def __post_init__(self) -> None:
        counts = (self.start.raw_count, self.end.raw_count)
        if counts != (1, 1):
            raise expected(
                "Blend",
                "two scales with a raw number each",
                got=f"{self.start} and {self.end}",
                advice="additive coupling has none: its net is of another size",
            )

    def log(self, raw: Raw) -> Raw:
        return (1 - self.weight) * self.start.log(raw) + self.weight * self.end.log(raw)

    @property
    def log_bounds(self) -> tuple[float, float]:
        lower, upper = zip(self.start.log_bounds, self.end.log_bounds, strict=True)
        return min(lower), max(upper)  # whatever the weight

    def shared_by(self, steps: int) -> "Blend":
        return Blend(self.start.shared_by(steps), self.end.shared_by(steps), self.weight)


def scale_from(text: str) -> Scale:
    """The scale of ``"name"`` or ``"name:constant,constant"``, such as ``"bounded:0.5,1"``.

    Raises:
        ValueError: if there is no scale of that name, or it does not take these constants.
    """
    name, _, constants = text.partition(":")
    check_choice("scale", name, tuple(SCALES))
    if not constants:
        return SCALES[name]
    try:
        return type(SCALES[name])(*map(float, constants.split(",")))
    except (TypeError, ValueError) as error:
        raise expected(
            "scale", f"{name} with constants like {SCALES[name]}", got=repr(text), advice=str(error)
        ) from None


#: Every scale of a coupling by name, with its default constants. ``depth-scaled`` is still to be
#: told its steps.
SCALES: dict[str, Scale] = {
    "additive": Additive(),
    "sigmoid": Sigmoid(),
    "biased": Biased(),
    "bounded": Bounded(),
    "soft-clamp": SoftClamp(),
    "asymmetric": AsymmetricClamp(),
    "tanh": TanhExponential(),
    "depth-scaled": DepthScaled(),
    "softplus": TanhSoftplus(),
    "two-sigmoid": TwoSigmoid(),
}
