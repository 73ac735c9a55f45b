"""All figures of a sweep folder or a run folder."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from experiments.figures import (
    along_depth,
    clipping,
    likelihood,
    over_training,
    reconstructions,
    samples,
    scales,
    studies,
)
from experiments.figures.selection import Drawing, NoDataError
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
from flowjax_glow import plotting
from flowjax_glow.runs.results import Run, load_sweep

FIGURES: dict[str, Callable[[Sequence[Run]], Drawing]] = {
    "figure1": clipping.figure1,
    "figure1_full": partial(clipping.figure1, full=True),
    "figure1_samples": clipping.figure1_samples,
    "figure3": scales.figure3,
    "figure3_tails": scales.figure3_tails,
    "figure3_growth": scales.figure3_growth,
    "figure4": likelihood.figure4,
    "figure5": reconstructions.figure5,
    "figure5_full": partial(reconstructions.figure5, full=True),
    "failing_region": over_training.failing_region,
    "largest_activation": over_training.largest_activation,
    "origin": over_training.origin,
    "activation_trace": along_depth.activation_trace,
    "samples": samples.samples,
    "held_out": likelihood.held_out,
    "control_and_damped": samples.control_and_damped,
}

#: A study has a figure of its own: the variants that only it has, all that it shows, and how.
STUDIES: dict[str, tuple[Sequence[str], Sequence[str], Callable[[Sequence[Run]], Drawing]]] = {
    "scales": (tuple(SCALE_ROWS), GROUPS["scales"], studies.scales),
    "growth": (
        (*DEPTH_ROWS, *FIXED_CLAMP_ROWS),
        (*GROUPS["depth"], *GROUPS["fixed-clamp"]),
        along_depth.growth,
    ),
    **{
        f"figure5_permutations{ending}": (
            tuple(FIGURE5_ROWS),
            GROUPS["figure5"],
            partial(reconstructions.figure5, full=bool(ending)),
        )
        for ending in ("", "_full")
    },
    **{
        name.replace("-", "_"): (tuple(rows), GROUPS[name], partial(draw, order=GROUPS[name]))
        for name, rows, draw in (
            ("depth", DEPTH_ROWS, along_depth.by_depth),
            ("alternatives", ALTERNATIVE_ROWS, studies.cells),
            ("fixed-clamp", FIXED_CLAMP_ROWS, along_depth.by_depth),
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
    files: list[Path] = []
    for name, (draw, shown) in _chosen(load_sweep(path)).items():
        try:
            with plotting.context():
                figure, arrays = draw(shown)
        except NoDataError as reason:
            print(f"{name}: skipped, {reason}")
            continue
        files += plotting.save(figure, Path(path) / "figures", name, arrays)
    return files


def _chosen(runs: list[Run]) -> dict[str, tuple[Callable[[Sequence[Run]], Drawing], list[Run]]]:
    """The figures by name, each with its runs; a study's many rows stay out of the others."""
    others = [run for run in runs if run.variant not in STUDY_ROWS]
    chosen = {name: (draw, others) for name, draw in FIGURES.items()}
    if runs and not others:
        chosen = {}
    for name, (own, members, draw) in STUDIES.items():
        if any(run.variant in own for run in runs):
            chosen[name] = (draw, [run for run in runs if run.variant in members])
    return chosen
