"""All figures of a sweep folder or a run folder."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from experiments.figures import depth, studies
from experiments.variants import (
    ALTERNATIVE_ROWS,
    AUTHOR_ROWS,
    DEPTH_ROWS,
    FIGURE5_ROWS,
    FIXED_CLAMP_ROWS,
    GROUPS,
    NOISE_PATH_ROWS,
    PART_ROWS,
    SCALE_ROWS,
    STUDY_ROWS,
)
from flowjax_glow.figures import (
    along_depth,
    clipping,
    likelihood,
    over_training,
    reconstructions,
    samples,
    scales,
)
from flowjax_glow.figures.drawing import Draw, draw_figures
from flowjax_glow.runs.results import Run, load_sweep

#: The paper's figures by their numbers, and what every run has.
FIGURES: dict[str, Draw] = {
    "figure1": clipping.decoded_zero,
    "figure1_full": partial(clipping.decoded_zero, full=True),
    "figure1_samples": clipping.decoded_sample,
    "figure3": scales.densities,
    "figure3_tails": scales.tail_quantiles,
    "figure3_growth": scales.smallest_over_training,
    "figure4": likelihood.training_loss,
    "figure5": reconstructions.reconstructions,
    "figure5_full": partial(reconstructions.reconstructions, full=True),
    "failing_region": over_training.failing_region,
    "largest_activation": over_training.largest_activation,
    "origin": over_training.origin,
    "activation_trace": along_depth.activation_trace,
    "samples": samples.samples,
    "held_out": likelihood.held_out,
    "control_and_damped": studies.control_and_damped,
}

#: A study has a figure of its own: the variants that only it has, all that it shows, and how.
STUDIES: dict[str, tuple[Sequence[str], Sequence[str], Draw]] = {
    "scales": (tuple(SCALE_ROWS), GROUPS["scales"], studies.scales),
    "growth": (
        (*DEPTH_ROWS, *FIXED_CLAMP_ROWS),
        (*GROUPS["depth"], *GROUPS["fixed-clamp"]),
        depth.growth,
    ),
    **{
        f"figure5_permutations{ending}": (
            tuple(FIGURE5_ROWS),
            GROUPS["figure5"],
            partial(reconstructions.reconstructions, full=bool(ending)),
        )
        for ending in ("", "_full")
    },
    **{
        name.replace("-", "_"): (tuple(rows), GROUPS[name], partial(draw, order=GROUPS[name]))
        for name, rows, draw in (
            ("depth", DEPTH_ROWS, depth.by_depth),
            ("alternatives", ALTERNATIVE_ROWS, studies.cells),
            ("fixed-clamp", FIXED_CLAMP_ROWS, depth.by_depth),
            ("parts", PART_ROWS, studies.cells),
            ("noise-path", NOISE_PATH_ROWS, studies.cells),
            ("author", AUTHOR_ROWS, studies.cells),
        )
    },
}


def draw_all(path: str | Path) -> list[Path]:
    """Draws into the folder ``figures`` of a sweep or run whatever has data by now.

    Never trains and needs no device. What cannot be drawn yet is printed and skipped.

    Args:
        path: a sweep folder or a run folder.

    Returns:
        The files: PNG, SVG and the arrays that are drawn (.npz) of each figure.

    Raises:
        ValueError: if `path` is no such folder, or a file in it is broken.
    """
    return draw_figures(_chosen(load_sweep(path)), Path(path) / "figures")


def _chosen(runs: list[Run]) -> dict[str, tuple[Draw, list[Run]]]:
    """The figures by name, each with its runs; a study's many rows stay out of the others."""
    others = [run for run in runs if run.variant not in STUDY_ROWS]
    chosen = {name: (draw, others) for name, draw in FIGURES.items()}
    if runs and not others:
        chosen = {}
    for name, (own, members, draw) in STUDIES.items():
        if any(run.variant in own for run in runs):
            chosen[name] = (draw, [run for run in runs if run.variant in members])
    return chosen
