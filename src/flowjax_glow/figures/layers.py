"""An axis of layers: along the inverse from the latents to the image, by level and flow step."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from flowjax_glow.runs.results import Run


def layers_of(run: Run) -> list[str]:
    """The names of a run's sub-layers in the order of generation."""
    return run.last_clipping()["layers"].tolist()


def flow_steps(layers: Sequence[str]) -> np.ndarray:
    """How many flow steps are done after each sub-layer; the parts of a step count as equal."""
    steps = _steps(layers)
    parts = Counter(steps)
    return np.cumsum([1 / parts[step] if step else 0.0 for step in steps])


def name_layers(axes: Axes, runs: Sequence[Run], count: int = 8) -> None:
    """Names an axis of `flow_steps`: every level, and about `count` of the steps of the deepest."""
    layers = max(map(layers_of, runs), key=lambda names: flow_steps(names)[-1])
    ends = {name: end for name, end in zip(_steps(layers), flow_steps(layers)) if name}
    levels = list(dict.fromkeys(name.partition("/")[0] for name in ends))
    ticks: dict[float, str] = {}
    for level in levels:
        own = [name for name in ends if name.startswith(f"{level}/")]
        shown = own[:: max(1, len(own) * len(levels) // count)]
        ticks |= {ends[name] - 0.5: _spaced(name.rpartition("/")[2]) for name in shown}
        ticks[ends[own[0]] - 0.5] += f"\n{_spaced(level)}"
        axes.axvline(ends[own[0]] - 1, color="#999999", linewidth=0.8)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(0, len(ends))
    axes.set_xlabel("layer of the inverse, from latents to image")


def marks(index: int, layers: Sequence[str]) -> tuple[int, int]:
    """Where a long line has markers: few, and at other layers than the next line."""
    every = max(1, len(layers) // 8)
    return index * every // 5 % every, every


def _steps(layers: Sequence[str]) -> list[str]:
    """``level0/step3`` for every sub-layer; empty for what is no part of a step."""
    return [name.rpartition("/")[0] if "/step" in name else "" for name in layers]


def _spaced(name: str) -> str:
    """``step 3`` of ``step3``."""
    word = name.rstrip("0123456789")
    return f"{word} {name[len(word) :]}"
