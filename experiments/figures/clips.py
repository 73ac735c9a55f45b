"""Decoding under clips: what figure 1, its companion at tau = 1 and figure 5 share."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from experiments import style
from experiments.figures import pictures
from experiments.figures.panels import CROSS, logarithmic, say
from flowjax_glow.runs.results import Run

#: The paper shows this clip.
CLIP = 50.0

#: Activations beyond are off the axis: the way there is what can be seen.
_CEILING = 1e10


def clip_names(clips: np.ndarray) -> list[str]:
    """``10``, ..., ``none``."""
    return [f"{clip:g}" if np.isfinite(clip) else "none" for clip in clips]


def clip_index(clips: np.ndarray) -> int:
    """The index of the paper's clip, or of the nearest one."""
    return int(np.abs(clips - CLIP).argmin())


def caption(image: np.ndarray, hit: bool) -> str:
    """What a picture does not tell: whether the clip was hit, and how much is not finite."""
    count = pictures.count_not_finite(image)
    if count:
        return f"{count} not finite"
    return "clip hit" if hit else ""


def flow_steps(layers: Sequence[str]) -> np.ndarray:
    """How many flow steps are done after each sub-layer; the parts of a step count as equal."""
    steps = [name.rpartition("/")[0] if "/step" in name else "" for name in layers]
    parts = Counter(steps)
    return np.cumsum([1 / parts[step] if step else 0.0 for step in steps])


def draw_largest(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    """The largest activations along generation; a cross where they are not finite any more."""
    _draw_along_generation(axes, runs, values)
    finite = np.concatenate([value[np.isfinite(value) & (value > 0)] for value in values])
    if finite.size:
        axes.set_ylim(finite.min() / 2, min(finite.max() * 5, _CEILING))
    axes.axhline(CLIP, color="#666666", linewidth=0.8, linestyle=":")
    for run, value in zip(runs, values):
        broken = np.flatnonzero(~np.isfinite(value))
        if broken.size:
            place = flow_steps(layers_of(run))[broken[0]]
            color = style.pen(run.variant)["color"]
            top = axes.get_xaxis_transform()
            axes.plot(place, 0.97, color=color, transform=top, clip_on=False, **CROSS)
    axes.set_ylabel("largest |activation|, no clip")


def draw_clipped(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    """The fraction of entries that a clip changes, along generation."""
    _draw_along_generation(axes, runs, values)
    axes.set_ylim(5e-4, 1.5)
    if not any(value.any() for value in values):
        say(axes, "nothing is clipped")


def layers_of(run: Run) -> Sequence[str]:
    """The names of a run's sub-layers in the order of generation."""
    return run.clippings[max(run.clippings)]["layers"].tolist()


def _draw_along_generation(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    for run, value in zip(runs, values):
        shown = np.where(np.isfinite(value) & (value > 0), value, np.nan)
        pen = style.pen(run.variant)
        axes.plot(flow_steps(layers_of(run)), shown, linewidth=0.8, **pen)
    logarithmic(axes)
    axes.set_xlim(0, flow_steps(layers_of(runs[0]))[-1])
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_xlabel("flow steps inverted")
    _mark_levels(axes, layers_of(runs[0]))


def _mark_levels(axes: Axes, layers: Sequence[str]) -> None:
    """A thin line and the name where generation goes on to the next level."""
    done = [0.0, *flow_steps(layers)]
    levels = [name.partition("/")[0] for name in layers]
    for index, level in enumerate(levels):
        if index and level == levels[index - 1]:
            continue
        if index:
            axes.axvline(done[index], color="#999999", linewidth=0.8)
        place, name = done[index] + 0.01 * done[-1], level.replace("level", "level ")
        top = axes.get_xaxis_transform()
        axes.text(place, 1.01, name, transform=top, fontsize=6, va="bottom", color="#666666")
