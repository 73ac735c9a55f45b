"""Decoding under clips: Figure 1, its companion at tau = 1, and what Figure 5 shares."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.figures import style
from experiments.figures.panels import CROSS, band, logarithmic, say, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    names_and_seeds,
    of_first_seed,
    per_run,
    rows_of,
)
from flowjax_glow import plotting
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Arrays, Run

#: Activations beyond are off the axis: the way there is what can be seen.
_CEILING = 1e10


def clip_names(clips: np.ndarray) -> list[str]:
    """``10``, ..., ``none``."""
    return [f"{clip:g}" if np.isfinite(clip) else "none" for clip in clips]


def clip_index(clips: np.ndarray) -> int:
    """The index of the paper's clip, or of the nearest one."""
    return int(np.abs(clips - LIMIT).argmin())


def caption(image: np.ndarray, hit: bool) -> str:
    """What a picture does not tell: whether the clip was hit, and how much is not finite."""
    count = plotting.count_not_finite(image)
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
    axes.axhline(LIMIT, color="#666666", linewidth=0.8, linestyle=":")
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


def figure1(runs: Sequence[Run]) -> Drawing:
    """Pictures of the first seed; below, all seeds along generation."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: run.last_clipping() for name, run in shown.items()}
    figure, limits, images = _draw_decodes_of_zero(seed, found)

    largest, clipped = figure.subfigs[1].subplots(1, 2)
    index = clip_index(limits)
    maxima = [run.last_clipping()["zero_max"] for run in runs]
    fractions = [run.last_clipping()["zero_clipped"][index] for run in runs]
    draw_largest(largest, runs, maxima)
    draw_clipped(clipped, runs, fractions)
    clipped.set_ylabel(f"fraction clipped at c = {limits[index]:g}")
    variant_legend(figure.subfigs[1], list(by_variant(runs)))
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Magenta: pixels that are not "
        f"finite. Below, a line per seed; dotted: {LIMIT:g}; cross: the first sub-layer "
        "that is not finite. Where nothing is clipped the right panel has no line.",
    )
    counts = [run.last_clipping()["zero_nonfinite"] for run in runs]
    return figure, {
        "clips": limits,
        "images": images,
        "image_variants": np.array(list(found)),
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        **per_run("layers", runs, [np.array(layers_of(run)) for run in runs]),
        **per_run("largest", runs, maxima),
        **per_run("nonfinite", runs, counts),
        **per_run("clipped", runs, fractions),
    }


def _draw_decodes_of_zero(
    seed: int, found: dict[str, Arrays]
) -> tuple[Figure, np.ndarray, np.ndarray]:
    limits = next(iter(found.values()))["clips"]
    images = np.stack([arrays["zero_images"] for arrays in found.values()])
    hits = [arrays["zero_clipped"].max(1) > 0 for arrays in found.values()]
    captions = [[caption(*pair) for pair in zip(*row)] for row in zip(images, hits)]
    figure, axes = plotting.figure_with_mosaic(images.shape, below=2.9)
    figure.subfigs[0].suptitle(f"z = 0 decoded, activations clipped to [-c, c], seed {seed}")
    columns = [f"c = {limits[0]:g}", *clip_names(limits)[1:]]
    plotting.mosaic(axes, images, list(found), columns, captions)
    return figure, limits, images


def figure1_samples(runs: Sequence[Run]) -> Drawing:
    """A sample of the first seed; below, how many samples hit each clip, over all seeds."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: run.last_clipping() for name, run in shown.items()}
    figure, limits, images, chosen = _draw_decodes_of_a_sample(seed, found)

    largest, hit = figure.subfigs[1].subplots(1, 2)
    maxima = [run.last_clipping()["sample_max"] for run in runs]
    fractions = np.array([run.last_clipping()["sample_hit"].mean(1) for run in runs])
    draw_largest(largest, runs, maxima)
    _draw_hits(hit, runs, limits, fractions)
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    samples = runs[0].last_clipping()["sample_hit"].shape[1]
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Above, of eight samples the "
        f"first that hits c = {LIMIT:g}, else the first one. Below left, the largest over "
        f"{samples} samples, a line per seed; right, the median over seeds of the fraction of "
        "samples with any entry clipped or not finite; band: lowest to highest seed.",
    )
    return figure, {
        "clips": limits,
        "images": images,
        "image_variants": np.array(list(found)),
        "image_samples": chosen,
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        "hit": fractions,
        **per_run("layers", runs, [np.array(layers_of(run)) for run in runs]),
        **per_run("largest", runs, maxima),
    }


def _draw_decodes_of_a_sample(
    seed: int, found: dict[str, Arrays]
) -> tuple[Figure, np.ndarray, np.ndarray, np.ndarray]:
    limits = next(iter(found.values()))["clips"]
    chosen = np.array([_telling_sample(arrays) for arrays in found.values()])
    pairs = list(zip(found.values(), chosen))
    images = np.stack([arrays["sample_images"][:, sample] for arrays, sample in pairs])
    hits = [arrays["sample_hit"][:, sample] for arrays, sample in pairs]
    captions = [[caption(*pair) for pair in zip(*row)] for row in zip(images, hits)]
    figure, axes = plotting.figure_with_mosaic(images.shape, below=2.9)
    figure.subfigs[0].suptitle(
        f"A sample at τ = 1 decoded, activations clipped to [-c, c], seed {seed}"
    )
    rows = [f"{name}\nsample {sample + 1}" for name, sample in zip(found, chosen)]
    columns = [f"c = {limits[0]:g}", *clip_names(limits)[1:]]
    plotting.mosaic(axes, images, rows, columns, captions)
    return figure, limits, images, chosen


def _telling_sample(arrays: Arrays) -> int:
    """The first of the pictured samples that hits the paper's clip, else the first."""
    hits = arrays["sample_hit"][clip_index(arrays["clips"])]
    return int(hits[: arrays["sample_images"].shape[1]].argmax())


def _draw_hits(axes: Axes, runs: Sequence[Run], limits: np.ndarray, fractions: np.ndarray) -> None:
    places = np.arange(len(limits))
    for variant in by_variant(runs):
        pen = style.pen(variant, marker=True)
        band(axes, places, fractions[rows_of(runs, variant)], **pen)
    axes.set_xticks(places, clip_names(limits))
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("clip c")
    axes.set_ylabel("fraction of samples clipped")
