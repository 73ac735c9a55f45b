"""The exponential, which is no remedy, and a way from one scale to another."""

import math
from dataclasses import dataclass

from jaxtyping import Array, Float

from flowjax_glow.errors import expected
from flowjax_glow.scales.base import Raw, Scale


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
class Blend(Scale):
    """``log s = (1 - weight) log s_start + weight log s_end``: a way from one scale to another.

    Both read the same raw number, so a trained net can be led from one to the other (see
    `flowjax-glow repair`). `weight` may be traced; such a blend cannot be a static argument.

    Raises:
        ValueError: if one of the scales takes no raw number, as `Additive`.
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
