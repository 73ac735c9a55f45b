"""The companion of figure 1 at tau = 1: samples decoded under every clip."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import style
from experiments.figures import clips, pictures
from experiments.figures.panels import band, note, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last,
    last_steps,
    names_and_seeds,
    of_first_seed,
    per_run,
    rows_of,
)
from flowjax_glow.runs.results import Arrays, Run


def draw(runs: Sequence[Run]) -> Drawing:
    """A sample of the first seed; below, how many samples hit each clip, over all seeds."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: last(run.clippings) for name, run in shown.items()}
    figure, limits, images, chosen = _draw_pictures(seed, found)

    largest, hit = figure.subfigs[1].subplots(1, 2)
    maxima = [last(run.clippings)["sample_max"] for run in runs]
    fractions = np.array([last(run.clippings)["sample_hit"].mean(1) for run in runs])
    clips.draw_largest(largest, runs, maxima)
    _draw_hits(hit, runs, limits, fractions)
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    samples = last(runs[0].clippings)["sample_hit"].shape[1]
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Above, of eight samples the "
        f"first that hits c = {clips.CLIP:g}, else the first one. Below left, the largest over "
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
        **per_run("layers", runs, [np.array(clips.layers_of(run)) for run in runs]),
        **per_run("largest", runs, maxima),
    }


def _draw_pictures(
    seed: int, found: dict[str, Arrays]
) -> tuple[Figure, np.ndarray, np.ndarray, np.ndarray]:
    limits = next(iter(found.values()))["clips"]
    chosen = np.array([_telling_sample(arrays) for arrays in found.values()])
    pairs = list(zip(found.values(), chosen))
    images = np.stack([arrays["sample_images"][:, sample] for arrays, sample in pairs])
    hits = [arrays["sample_hit"][:, sample] for arrays, sample in pairs]
    captions = [[clips.caption(*pair) for pair in zip(*row)] for row in zip(images, hits)]
    figure, axes = pictures.figure_with_mosaic(images.shape, below=2.9)
    figure.subfigs[0].suptitle(
        f"A sample at τ = 1 decoded, activations clipped to [-c, c], seed {seed}"
    )
    rows = [f"{name}\nsample {sample + 1}" for name, sample in zip(found, chosen)]
    columns = [f"c = {limits[0]:g}", *clips.clip_names(limits)[1:]]
    pictures.mosaic(axes, images, rows, columns, captions)
    return figure, limits, images, chosen


def _telling_sample(arrays: Arrays) -> int:
    """The first of the pictured samples that hits the paper's clip, else the first."""
    hits = arrays["sample_hit"][clips.clip_index(arrays["clips"])]
    return int(hits[: arrays["sample_images"].shape[1]].argmax())


def _draw_hits(axes: Axes, runs: Sequence[Run], limits: np.ndarray, fractions: np.ndarray) -> None:
    places = np.arange(len(limits))
    for variant in by_variant(runs):
        pen = style.pen(variant, marker=True)
        band(axes, places, fractions[rows_of(runs, variant)], **pen)
    axes.set_xticks(places, clips.clip_names(limits))
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel("clip c")
    axes.set_ylabel("fraction of samples clipped")
