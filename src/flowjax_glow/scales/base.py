"""What every scale answers: ``log s`` of a raw number, bounds and slopes."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

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
