"""The rules that `benchmarks.accelerator.__main__` states, as functions of what was measured."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax_glow.diagnostics import median_slope
from flowjax_glow.files import from_strict

#: An activation beyond this has left the range of the data by two orders of magnitude.
LIMIT = 50.0

#: Relative error above which an image has not come back.
BROKEN = 0.1

#: Share of samples that have to pass `LIMIT` at a critical noise level, and the highest level.
CRITICAL_SHARE, HIGHEST = 0.01, 2.0


def critical_temperature(
    share_over: Callable[[float], float], known: Mapping[float, float], halvings: int = 5
) -> float | None:
    """The least noise level at which `CRITICAL_SHARE` of the samples pass `LIMIT`; None if above 2.

    The share is taken to grow with the level. `known` holds shares by level, 0 among them; between
    the two that enclose the critical one the interval is halved.
    """
    shares = dict(known)
    for tau in (math.sqrt(2), HIGHEST):
        if all(share < CRITICAL_SHARE for share in shares.values()):
            shares[tau] = share_over(tau)
    reached = [tau for tau, share in shares.items() if share >= CRITICAL_SHARE]
    if not reached:
        return None
    high = min(reached)
    low = max((tau for tau in shares if tau < high), default=high)
    for _ in range(halvings if low < high else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if share_over(middle) >= CRITICAL_SHARE else (middle, high)
    return high


def first_claim(looks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The verdict on C1: ``holds``, or the ``slope`` and the step of ``crossing``, if it grows.

    Of a phase's looks as they stand in its JSON.
    """
    points = [(look["step"], from_strict(look["zero"]["largest"])) for look in looks]
    after = [(step, value) for step, value in points if step > 0]
    if len(after) < 2:
        return {"holds": None, "slope": None, "crossing": None}
    holds = all(value > LIMIT for _, value in after[-2:])
    if holds or not all(0 < value < math.inf for _, value in after):
        return {"holds": holds, "slope": None, "crossing": None}
    steps, logs = ([math.log(number) for number in column] for column in zip(*after))
    slope = median_slope(steps, logs)
    if slope <= 0:
        return {"holds": False, "slope": slope, "crossing": None}
    further = (math.log(LIMIT) - logs[-1]) / slope
    crossing = math.exp(steps[-1] + further) if steps[-1] + further < 700 else math.inf
    return {"holds": False, "slope": slope, "crossing": crossing}


def broke_down(looks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether held-out images cost more at the last look than at the first, so that not only the
    inverse is lost."""
    first, *_, last = (from_strict(look["bits_per_dim"]) for look in looks)
    return not last <= first


def broken_shares(errors: np.ndarray) -> list[float]:
    """Of errors `(clips, images)`: the share of images above `BROKEN`, per clip."""
    return np.mean(~(errors <= BROKEN), axis=1).tolist()


def lost_permutations(before: Sequence[float], redrawn: Sequence[Sequence[float]]) -> bool:
    """The verdict on Figure 5, from `broken_shares`.

    Args:
      before: before training, own permutations; the last one is without a clip.
      redrawn: after training, a row per draw.
    """
    return before[-1] == 0 and all(share > 0.5 for row in redrawn for share in row)
