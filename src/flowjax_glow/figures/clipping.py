"""z = 0 and a sample at tau = 1, decoded under clips (the paper's Figure 1)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from flowjax_glow import plotting
from flowjax_glow.diagnostics.thresholds import LIMIT
from flowjax_glow.figures import style
from flowjax_glow.figures.panels import CROSS, logarithmic, variant_bands, variant_legend
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    most_layers,
    names_and_seeds,
    of_first_seed,
    per_run,
)
from flowjax_glow.figures.sheets import Sheet
from flowjax_glow.layer_axis import flow_steps, marks, name_layers
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


def draw_largest(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    """The largest activations along generation; a cross where they are not finite any more."""
    _draw_along_generation(axes, runs, values)
    finite = np.concatenate([value[np.isfinite(value) & (value > 0)] for value in values])
    if finite.size:
        axes.set_ylim(finite.min() / 2, np.clip(finite.max() * 5, 2 * LIMIT, _CEILING))
    axes.axhline(LIMIT, color="#666666", linewidth=0.8, linestyle=":")
    axes.set_ylabel("largest activation, no clip")
    broken = [(run, value) for run, value in zip(runs, values) if not np.isfinite(value).all()]
    variants = list(by_variant([run for run, _ in broken]))
    for run, value in broken:
        place = flow_steps(run.layers())[np.flatnonzero(~np.isfinite(value))[0]]
        height = 0.97 - 0.07 * variants.index(run.variant)  # a line for each variant
        pen: dict[str, Any] = {"color": style.pen(run.variant)["color"], "clip_on": False, **CROSS}
        axes.plot(place, height, transform=axes.get_xaxis_transform(), **pen)


def draw_clipped(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    """The fraction of entries that a clip changes, along generation."""
    _draw_along_generation(axes, runs, values)
    axes.set_ylim(5e-4, 1.5)


def _draw_along_generation(axes: Axes, runs: Sequence[Run], values: Sequence[np.ndarray]) -> None:
    variants = list(by_variant(runs))
    for run, value in zip(runs, values):
        layers = run.layers()
        shown = np.where(np.isfinite(value) & (value > 0), value, np.nan)
        few = marks(variants.index(run.variant), layers)
        pen = style.pen(run.variant, marker=True) | {"markersize": 3, "markevery": few}
        axes.plot(flow_steps(layers), shown, linewidth=0.8, **pen)
    logarithmic(axes)


def decoded_zero(runs: Sequence[Run], *, full: bool = False) -> Drawing:
    """Pictures of the first seed, all or those that differ; below, all seeds along generation."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: run.last_clipping() for name, run in shown.items()}
    limits = next(iter(found.values()))["clips"]
    sheet = _decodes_of_zero(found, limits)
    drawn, left_out = (sheet, "") if full else sheet.reduced()
    figure = drawn.draw(f"z = 0 decoded, activations clipped to [-c, c], seed {seed}", below=3.1)

    index = clip_index(limits)
    maxima = [run.last_clipping()["zero_max"] for run in runs]
    fractions = [run.last_clipping()["zero_clipped"][index] for run in runs]
    clips = any(each.any() for each in fractions)
    panels = figure.subfigs[1].subplots(1, 1 + clips, squeeze=False)[0]
    draw_largest(panels[0], runs, maxima)
    if clips:
        draw_clipped(panels[1], runs, fractions)
        panels[1].set_ylabel(f"fraction clipped at c = {limits[index]:g}")
    for axes in panels:
        name_layers(axes, most_layers(runs), count=8 // len(panels))
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Magenta: pixels that are not "
        f"finite.{left_out} Below, a line per seed; dotted: {LIMIT:g}; cross: the first sub-layer "
        f"that is not finite.{'' if clips else f' Nothing is clipped at c = {limits[index]:g}.'}",
    )
    counts = [run.last_clipping()["zero_nonfinite"] for run in runs]
    return figure, {
        "clips": limits,
        "images": sheet.images,
        "image_variants": np.array(list(found)),
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        **per_run("layers", runs, [np.array(run.layers()) for run in runs]),
        **per_run("largest", runs, maxima),
        **per_run("nonfinite", runs, counts),
        **per_run("clipped", runs, fractions),
    }


def _decodes_of_zero(found: dict[str, Arrays], limits: np.ndarray) -> Sheet:
    images = np.stack([arrays["zero_images"] for arrays in found.values()])
    hits = [arrays["zero_clipped"].max(1) > 0 for arrays in found.values()]
    return _sheet_of_clips(images, hits, list(found), limits)


def _sheet_of_clips(
    images: np.ndarray, hits: Sequence[np.ndarray], rows: list[str], limits: np.ndarray
) -> Sheet:
    captions = [
        [caption(image, bool(hit)) for image, hit in zip(*row)] for row in zip(images, hits)
    ]
    return Sheet(images, rows, [f"c = {limits[0]:g}", *clip_names(limits)[1:]], captions)


def decoded_sample(runs: Sequence[Run]) -> Drawing:
    """A sample of the first seed; below, how many samples hit each clip, over all seeds."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: run.last_clipping() for name, run in shown.items()}
    limits = next(iter(found.values()))["clips"]
    chosen = np.array([_telling_sample(arrays) for arrays in found.values()])
    sheet = _decodes_of_samples(found, limits, chosen)
    title = f"A sample at τ = 1 decoded, activations clipped to [-c, c], seed {seed}"
    figure = sheet.draw(title, below=3.1)

    largest, hit = figure.subfigs[1].subplots(1, 2)
    maxima = [run.last_clipping()["sample_max"] for run in runs]
    fractions = np.array([run.last_clipping()["sample_hit"].mean(1) for run in runs])
    draw_largest(largest, runs, maxima)
    name_layers(largest, most_layers(runs), count=4)
    _draw_hits(hit, runs, limits, fractions)
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    samples = runs[0].last_clipping()["sample_hit"].shape[1]
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Above, of eight samples the "
        f"first that hits c = {LIMIT:g}, else the first one. Below left, the largest over "
        f"{samples} samples, a line per seed; dotted: {LIMIT:g}; cross: the first sub-layer that "
        "is not finite. Right, the fraction of samples with any entry clipped or not finite; "
        "line: median over seeds, band: lowest to highest; points are set side by side.",
    )
    return figure, {
        "clips": limits,
        "images": sheet.images,
        "image_variants": np.array(list(found)),
        "image_samples": chosen,
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        "hit": fractions,
        **per_run("layers", runs, [np.array(run.layers()) for run in runs]),
        **per_run("largest", runs, maxima),
    }


def _decodes_of_samples(found: dict[str, Arrays], limits: np.ndarray, chosen: np.ndarray) -> Sheet:
    pairs = list(zip(found.values(), chosen))
    images = np.stack([arrays["sample_images"][:, sample] for arrays, sample in pairs])
    hits = [arrays["sample_hit"][:, sample] for arrays, sample in pairs]
    rows = [f"{name}\nsample {sample + 1}" for name, sample in zip(found, chosen)]
    return _sheet_of_clips(images, hits, rows, limits)


def _telling_sample(arrays: Arrays) -> int:
    """The first of the pictured samples that hits the paper's clip, else the first."""
    hits = arrays["sample_hit"][clip_index(arrays["clips"])]
    return int(hits[: arrays["sample_images"].shape[1]].argmax())


def _draw_hits(axes: Axes, runs: Sequence[Run], limits: np.ndarray, fractions: np.ndarray) -> None:
    places = np.arange(len(limits))
    variant_bands(axes, runs, places, fractions)
    axes.set_xticks(places, clip_names(limits))
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("clip c")
    axes.set_ylabel("fraction of samples hit")
