"""Figure 1: the origin z = 0, decoded under every clip."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.figures import clips, pictures
from experiments.figures.panels import note, variant_legend
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
)
from flowjax_glow.runs.results import Arrays, Run


def draw(runs: Sequence[Run]) -> Drawing:
    """Pictures of the first seed; below, all seeds along generation."""
    runs = in_order(clipped_at_end(runs))
    seed, shown = of_first_seed(runs)
    found = {name: last(run.clippings) for name, run in shown.items()}
    figure, limits, images = _draw_pictures(seed, found)

    largest, clipped = figure.subfigs[1].subplots(1, 2)
    index = clips.clip_index(limits)
    maxima = [last(run.clippings)["zero_max"] for run in runs]
    fractions = [last(run.clippings)["zero_clipped"][index] for run in runs]
    clips.draw_largest(largest, runs, maxima)
    clips.draw_clipped(clipped, runs, fractions)
    clipped.set_ylabel(f"fraction clipped at c = {limits[index]:g}")
    variant_legend(figure.subfigs[1], list(by_variant(runs)))
    note(
        figure.subfigs[1],
        f"After {last_steps([run.clippings for run in runs])}. Magenta: pixels that are not "
        f"finite. Below, a line per seed; dotted: {clips.CLIP:g}; cross: the first sub-layer "
        "that is not finite. Where nothing is clipped the right panel has no line.",
    )
    counts = [last(run.clippings)["zero_nonfinite"] for run in runs]
    return figure, {
        "clips": limits,
        "images": images,
        "image_variants": np.array(list(found)),
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        **per_run("layers", runs, [np.array(clips.layers_of(run)) for run in runs]),
        **per_run("largest", runs, maxima),
        **per_run("nonfinite", runs, counts),
        **per_run("clipped", runs, fractions),
    }


def _draw_pictures(seed: int, found: dict[str, Arrays]) -> tuple[Figure, np.ndarray, np.ndarray]:
    limits = next(iter(found.values()))["clips"]
    images = np.stack([arrays["zero_images"] for arrays in found.values()])
    hits = [arrays["zero_clipped"].max(1) > 0 for arrays in found.values()]
    captions = [[clips.caption(*pair) for pair in zip(*row)] for row in zip(images, hits)]
    figure, axes = pictures.figure_with_mosaic(images.shape, below=2.9)
    figure.subfigs[0].suptitle(f"z = 0 decoded, activations clipped to [-c, c], seed {seed}")
    columns = [f"c = {limits[0]:g}", *clips.clip_names(limits)[1:]]
    pictures.mosaic(axes, images, list(found), columns, captions)
    return figure, limits, images
