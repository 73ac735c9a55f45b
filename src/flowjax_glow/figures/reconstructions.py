"""Image to latents to image, before training and after it, under every clip (Figure 5).

Where the model has permutations, also with every permutation drawn anew, as after a reload that
has lost them.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from flowjax_glow.figures import clipping
from flowjax_glow.figures.panels import logarithmic, variant_bands, variant_legend
from flowjax_glow.figures.selection import (
    Drawing,
    by_variant,
    clipped_at_end,
    in_order,
    last_steps,
    names_and_seeds,
    of_first_seed,
    require,
)
from flowjax_glow.figures.sheets import Sheet
from flowjax_glow.plotting import note
from flowjax_glow.runs.results import Arrays, Run

#: Relative errors outside are drawn at the edge; above 1 no image is left.
_LOWEST, _HIGHEST = 1e-8, 1e2

_REDRAWN = "redrawn_error"

_TITLES = {
    "worst_before": "worst image, before training",
    "median_after": "median image, after training",
    "worst_after": "worst image, after training",
    "median_redrawn": "median image, after training, redrawn",
}


def reconstructions(runs: Sequence[Run], *, full: bool = False) -> Drawing:
    """Pictures of one image and the first seed, all or those that differ; below, all errors."""
    runs = in_order(
        require(
            clipped_at_end(runs), lambda run: 0 in run.clippings, "nothing from before training"
        )
    )
    seed, shown = of_first_seed(runs)
    limits = runs[0].last_clipping()["clips"]
    sheet, errors = _pictures(shown, limits)
    drawn, left_out = (sheet, "") if full else sheet.reduced()
    title = f"Image, latents, image, activations clipped to [-c, c], seed {seed}"
    figure = drawn.draw(title, below=4.3)
    redrawn = [run for run in runs if _REDRAWN in run.last_clipping()]
    curves = _curves(runs, redrawn)
    grid = figure.subfigs[1].subplots(math.ceil(len(curves) / 2), 2, sharey=True, squeeze=False)
    for axes in grid.ravel()[len(curves) :]:
        axes.remove()
    for axes, (name, values) in zip(grid.ravel(), curves.items()):
        _draw_curves(axes, redrawn if name == "median_redrawn" else runs, limits, values)
        axes.set_title(_TITLES[name])
    figure.subfigs[1].supylabel("relative L2 error")
    variant_legend(figure.subfigs[1], list(by_variant(runs)), marker=True)
    note(
        figure.subfigs[1],
        f"Numbers: relative L2 error; magenta: not finite; the image has the most contrast of "
        f"eight.{left_out} Before: after the data-dependent init, where s is constant since the "
        f"nets' last layers are zero. After: {last_steps([run.clippings for run in runs])}. "
        "Redrawn: every permutation drawn anew, the same in both directions, three draws. Below, "
        "lines: median over seeds, bands: lowest to highest; points are set side by side; above "
        "100 or not finite is drawn at 100.",
    )
    return figure, {
        "clips": limits,
        "images": sheet.images,
        "image_errors": errors,
        "image_variants": np.array(sheet.rows),
        "image_seed": np.array(seed),
        **names_and_seeds(runs),
        **curves,
        "redrawn_variants": np.array([run.variant for run in redrawn]),
    }


def _curves(runs: Sequence[Run], redrawn: Sequence[Run]) -> dict[str, np.ndarray]:
    """Errors (runs, clips) by the names of the arrays."""
    after = [run.last_clipping() for run in runs]
    curves = {
        "worst_before": _errors([run.clippings[0] for run in runs], np.max),
        "median_after": _errors(after, np.median),
        "worst_after": _errors(after, np.max),
    }
    if redrawn:
        files = [_redrawn(run.last_clipping()) for run in redrawn]
        curves["median_redrawn"] = _errors(files, np.median)
    return curves


def _pictures(shown: dict[str, Run], limits: np.ndarray) -> tuple[Sheet, np.ndarray]:
    """The sheet, and the errors that its captions tell."""
    files = {name: (run.clippings[0], run.last_clipping()) for name, run in shown.items()}
    files |= {
        f"{name}, redrawn": (_redrawn(before), _redrawn(after))
        for name, (before, after) in files.items()
        if _REDRAWN in after
    }
    rows = [_row(before, after) for before, after in files.values()]
    errors = np.stack([error for _, error in rows])
    names = clipping.clip_names(limits)
    before = f"before\nc = {names[clipping.clip_index(limits)]}"
    columns = ["image", before, f"after\nc = {names[0]}", *names[1:]]
    captions = [["", *(_short(error) for error in row)] for row in errors]
    return Sheet(np.stack([row for row, _ in rows]), list(files), columns, captions), errors


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
    variant_bands(axes, runs, places, np.clip(values, _LOWEST, _HIGHEST))
    axes.set_xticks(places, clipping.clip_names(limits))
    axes.set_xlabel("clip c")
    logarithmic(axes)
    axes.margins(y=0.08)
