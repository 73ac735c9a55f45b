"""An axis of layers: along the inverse from the latents to the image, by level and flow step."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

#: ``level0/step3`` of ``level0/step3/AffineCoupling``, and ``step3`` where there are no levels.
_STEP = re.compile(r"(?:(?P<level>[^/]+)/)?(?P<step>step\d+)(?=/|$)")


def flow_steps(layers: Sequence[str]) -> np.ndarray:
    """How many flow steps are done after each sub-layer; the parts of a step count as equal.

    Of a flow without steps every layer is one.
    """
    done = 0
    found: list[float] = []
    for unit in _units(layers):
        found += [done + unit.is_step * (part + 1) / unit.parts for part in range(unit.parts)]
        done += unit.is_step
    return np.array(found)


def places(some: Sequence[str], layers: Sequence[str]) -> np.ndarray:
    """The `flow_steps` of some of the `layers`, which are in the same order; names may repeat."""
    steps, start = flow_steps(layers), 0
    found: list[float] = []
    for name in some:
        start = layers.index(name, start) + 1
        found.append(steps[start - 1])
    return np.array(found)


def name_layers(axes: Axes, layers: Sequence[str], count: int = 8) -> None:
    """Names an axis of `flow_steps`: every level, and about `count` of the steps."""
    steps = [unit for unit in _units(layers) if unit.is_step]
    levels = [list(group) for _, group in itertools.groupby(steps, lambda unit: unit.level)]
    ticks: dict[float, str] = {}
    first = 0
    for own in levels:
        every = max(1, len(own) * len(levels) // count)
        ticks |= {first + place + 0.5: own[place].name for place in range(0, len(own), every)}
        if own[0].level:
            ticks[first + 0.5] += f"\n{_spaced(own[0].level)}"
            axes.axvline(first, color="#999999", linewidth=0.8)
        first += len(own)
    axes.set_xticks(list(ticks), list(ticks.values()))
    if not any(map(_STEP.match, layers)):  # whole names of layers
        axes.tick_params(axis="x", labelrotation=30)
    axes.set_xlim(0, max(len(steps), 1))
    axes.set_xlabel("layer of the inverse, from latents to image")


def marks(index: int, layers: Sequence[str]) -> tuple[int, int]:
    """Where a long line has markers: few, and at other layers than the next line."""
    every = max(1, len(layers) // 8)
    return index * every // 5 % every, every


class _Unit(NamedTuple):
    """Layers beside each other that make one step, or that are part of none.

    Attributes:
        level: of the step; empty where there are none.
        name: as it is shown.
        parts: how many layers.
        is_step: whether it counts.
    """

    level: str
    name: str
    parts: int
    is_step: bool


def _units(layers: Sequence[str]) -> list[_Unit]:
    """Every flow step and what lies between; every layer if none is part of a step."""
    matches = [_STEP.match(name) for name in layers]
    if not any(matches):
        return [_Unit("", name, 1, True) for name in layers]
    found = []
    for _, group in itertools.groupby(matches, lambda match: match and match[0]):
        first, *others = group
        if first is None:
            found.append(_Unit("", "", 1 + len(others), False))
        else:
            level, name = first["level"] or "", _spaced(first["step"])
            found.append(_Unit(level, name, 1 + len(others), True))
    return found


def _spaced(name: str) -> str:
    """``step 3`` of ``step3``."""
    word = name.rstrip("0123456789")
    return f"{word} {name[len(word) :]}".strip()
