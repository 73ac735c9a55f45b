"""Numbers in strict JSON, which knows neither NaN nor infinities: these become strings."""

import math
from collections.abc import Mapping
from typing import Any

#: What stands for a number that is not finite; `float` reads all three, too.
NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def strict(value: Any) -> Any:
    """`value` with strings in place of NaN and infinities, also within lists and mappings."""
    if isinstance(value, Mapping):
        return {str(name): strict(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def from_strict(value: Any) -> Any:
    """`value` with the numbers that `strict` replaced."""
    if isinstance(value, Mapping):
        return {name: from_strict(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [from_strict(inner) for inner in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value
