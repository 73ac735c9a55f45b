"""A scale that knows the depth."""

import dataclasses
import math
from dataclasses import dataclass

import jax.numpy as jnp

from flowjax_glow.errors import check_count, check_positive, expected
from flowjax_glow.scales.base import Raw, Scale
from flowjax_glow.scales.clamps import tanh_slope


@dataclass(frozen=True)
class DepthScaled(Scale):
    r"""``log s = c tanh(h / c)`` with ``c = alpha / steps``: a bound that knows the depth.

    When `steps` of them act in a chain, ``|sum log s| < alpha``: the product of the factors s
    stays between ``e^-alpha`` and ``e^alpha`` at any depth, for L levels between ``e^(-L alpha)``
    and ``e^(L alpha)``. The other parts of a step, shifts, slopes, actnorms and matrices, are not
    bounded by it. ``log s`` is ``h`` near 0.

    Without `steps` it is not ready for use: `GlowConfig` fills in the depth of a level, and
    `shared_by` does elsewhere.

    `one_sided`, it only contracts, ``log s = (c / 2) (tanh(2 h / c) - 1)`` in (-c, 0), with the
    same slope at h = 0: to tell what growing is good for.

    Raises:
        ValueError: if `alpha` is not above 0 and finite, or `steps` neither a whole number above 0
            nor None; when used, without `steps`.
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
        """The bound of one step, ``c = alpha / steps``.

        Raises:
            ValueError: without `steps`.
        """
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
        return tanh_slope(reach) * math.exp(-middle)

    def _form(self) -> tuple[float, float]:
        """How far log s reaches to both sides, and of what."""
        return (self.limit / 2, -self.limit / 2) if self.one_sided else (self.limit, 0.0)

    @property
    def log_slope(self) -> float:
        return 1.0

    def shared_by(self, steps: int) -> "DepthScaled":
        return self if self.steps else dataclasses.replace(self, steps=steps)
