"""Figure 5: image to latents to image, before training and after it, under every clip.

Where the model has permutations, also with every permutation drawn anew, as after a reload that
has lost them.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.figures import clipping, style
from experiments.figures.panels import band, logarithmic, variant_legend
from experiments.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    names_and_seeds,
    of_first_seed,
    require,
    rows_of,
)
from flowjax_glow import plotting
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Arrays, Run

#: Relative errors outside are drawn at the edge; above 1 no image is left.
_LOWEST, _HIGHEST = 1e-8, 1e2

_REDRAWN = "redrawn_error"

_TITLES = {
    "worst_before": "worst image,\nbefore training",
    "median_after": "median image,\nafter training",
    "worst_after": "worst image,\nafter training",
    "median_redrawn": "median image,\nafter training, redrawn",
}


def figure5(runs: Sequence[Run]) -> Drawing:
    """Pictures of one image and the first seed; below, errors over all images and seeds."""
    runs = in_order(
        require(
            clipped_at_end(runs), lambda run: 0 in run.clippings, "nothing from before training"
        )
    )
    seed, shown = of_first_seed(runs)
    figure, images, errors = _draw_pictures(seed, shown)
    limits = runs[0].last_clipping()["clips"]
    curves = {
        "worst_before": _errors([run.clippings[0] for run in runs], np.max),
        "median_after": _errors([run.last_clipping() for run in runs], np.median),
        "worst_after": _errors([run.last_clipping() for run in runs], np.max),
    }
    redrawn = [run for run in runs if _REDRAWN in run.last_clipping()]
    if redrawn:
        curves["median_redrawn"] = _errors(
            [_redrawn(run.last_clipping()) for run in redrawn], np.median
        )
    panels = figure.subfigs[1].subplots(1, len(curves), sharey=True)
    for axes, (name, values) in zip(panels, curves.items()):
        _draw_curves(axes, redrawn if name == "median_redrawn" else runs, limits, values)
        axes.set_title(_TITLES[name])
    panels[0].set_ylabel("relative L2 error")
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    note(
        figure.subfigs[1],
        f"Before: after the data-dependent init; the last layers of the nets are zero there, so s "
        f"is constant and this reconstruction is nearly free. After: "
        f"{last_steps([run.clippings for run in runs])}. Numbers: relative L2 error; magenta: not "
        "finite; the image has the most contrast of eight. Redrawn: every permutation drawn anew, "
        "the same in both directions, three draws. Below, lines: median over seeds, "
        "bands: lowest to highest; above 100 or not finite is drawn at 100.",
    )
    return figure, {
        "clips": limits,
        "images": images,
        "image_errors": errors,
        "image_variants": np.array(_row_names(shown)),
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        **curves,
        "redrawn_variants": np.array([run.variant for run in redrawn]),
    }


def _draw_pictures(seed: int, shown: dict[str, Run]) -> tuple[Figure, np.ndarray, np.ndarray]:
    rows = [_row(run.clippings[0], run.last_clipping()) for run in shown.values()]
    rows += [
        _row(*(_redrawn(arrays) for arrays in (run.clippings[0], run.last_clipping())))
        for run in _with_redrawn(shown).values()
    ]
    images = np.stack([row for row, _ in rows])
    errors = np.stack([error for _, error in rows])
    limits = next(iter(shown.values())).last_clipping()["clips"]
    names = clipping.clip_names(limits)
    before = f"before\nc = {names[clipping.clip_index(limits)]}"
    columns = ["image", before, f"after\nc = {names[0]}", *names[1:]]
    captions = [["", *(_short(error) for error in row)] for row in errors]
    figure, axes = plotting.figure_with_mosaic(images.shape, below=2.6)
    figure.subfigs[0].suptitle(
        f"Image, latents, image, activations clipped to [-c, c], seed {seed}"
    )
    plotting.mosaic(axes, images, _row_names(shown), columns, captions)
    return figure, images, errors


def _row_names(shown: dict[str, Run]) -> list[str]:
    return [*shown, *(f"{name}, redrawn" for name in _with_redrawn(shown))]


def _with_redrawn(shown: dict[str, Run]) -> dict[str, Run]:
    return {name: run for name, run in shown.items() if _REDRAWN in run.last_clipping()}


def _redrawn(arrays: Arrays) -> Arrays:
    """The arrays with the reconstructions under redrawn permutations in place of the own ones."""
    errors = arrays[_REDRAWN]  # (draws, clips, images)
    return {
        **arrays,
        "reconstructions": arrays["redrawn_reconstructions"],
        "reconstruction_error": errors.swapaxes(0, 1).reshape(errors.shape[1], -1),
    }


def _row(before: Arrays, after: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """An image, it before training under the paper's clip and after it under all; errors."""
    index = after["originals"].std((1, 2, 3)).argmax()  # some photographs are nearly black
    image = after["originals"][index]
    first = before["reconstructions"][clipping.clip_index(before["clips"]), index]
    back = np.stack([first, *after["reconstructions"][:, index]])
    finite = np.isfinite(back).all((1, 2, 3))
    distance = np.linalg.norm(
        np.where(np.isfinite(back), back - image, 0).reshape(len(back), -1), axis=1
    )
    errors = np.where(finite, distance / np.linalg.norm(image), np.inf)
    return np.concatenate([image[None], back]), errors


def _short(number: float) -> str:
    """``3e-6`` rather than ``3.0e-06``, to fit under a small picture."""
    return f"{number:.2g}".replace("e-0", "e-").replace("e+0", "e")


def _errors(files: Sequence[Arrays], over_images) -> np.ndarray:
    """(runs, clips)."""
    return np.array([over_images(arrays["reconstruction_error"], axis=1) for arrays in files])


def _draw_curves(axes: Axes, runs: Sequence[Run], limits: np.ndarray, values: np.ndarray) -> None:
    places = np.arange(len(limits))
    visible = np.clip(values, _LOWEST, _HIGHEST)
    for variant in by_variant(runs):
        pen = style.pen(variant, marker=True)
        band(axes, places, visible[rows_of(runs, variant)], **pen)
    axes.set_xticks(places, clipping.clip_names(limits), rotation=60)
    axes.set_xlabel("clip c")
    logarithmic(axes)
    axes.margins(y=0.08)
