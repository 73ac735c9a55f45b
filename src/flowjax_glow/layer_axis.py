"""An axis of layers: along the inverse from the latents to the image, by level and flow step."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

#: ``level0/step3`` of ``level0/step3/AffineCoupling``, and ``step3`` where there are no levels.
_STEP = re.compile(r"(?:(?P<level>[^/]+)/)?(?P<step>step\d+)(?=/|$)")


def flow_steps(layers: Sequence[str]) -> np.ndarray:
    """How many flow steps are done after each sub-layer; the parts of a step count as equal.

    Of a flow without steps every layer is one.
    """
    units = _units(layers)
    parts = Counter(units)
    return np.cumsum([1 / parts[unit] if unit else 0.0 for unit in units])


def name_layers(axes: Axes, layers: Sequence[str], count: int = 8) -> None:
    """Names an axis of `flow_steps`: every level, and about `count` of the steps."""
    ends = {unit: end for unit, end in zip(_units(layers), flow_steps(layers)) if unit}
    levels = list(dict.fromkeys(map(_level, ends)))
    ticks: dict[float, str] = {}
    for level in levels:
        own = [name for name in ends if _level(name) == level]
        shown = own[:: max(1, len(own) * len(levels) // count)]
        ticks |= {ends[name] - 0.5: _spaced(name.rpartition("/")[2]) for name in shown}
        if level:
            ticks[ends[own[0]] - 0.5] += f"\n{_spaced(level)}"
            axes.axvline(ends[own[0]] - 1, color="#999999", linewidth=0.8)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(0, max(len(ends), 1))
    axes.set_xlabel("layer of the inverse, from latents to image")


def marks(index: int, layers: Sequence[str]) -> tuple[int, int]:
    """Where a long line has markers: few, and at other layers than the next line."""
    every = max(1, len(layers) // 8)
    return index * every // 5 % every, every


def _units(layers: Sequence[str]) -> list[str]:
    """``level0/step3`` for every sub-layer; empty for what is no part of a step.

    The layers themselves if none is part of a step.
    """
    found = map(_STEP.match, layers)
    steps = [match[0] if match else "" for match in found]
    return steps if any(steps) else list(layers)


def _level(name: str) -> str:
    """``level0`` of ``level0/step3``; empty where there is none."""
    match = _STEP.match(name)
    return (match["level"] or "") if match else ""


def _spaced(name: str) -> str:
    """``step 3`` of ``step3``."""
    word = name.rstrip("0123456789")
    return f"{word} {name[len(word) :]}".strip()
