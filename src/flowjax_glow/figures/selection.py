"""Which runs and arrays a figure is about, side by side by variant, seed and step."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure

from flowjax_glow.figures import style
from flowjax_glow.layer_axis import flow_steps
from flowjax_glow.runs.results import Run

#: A figure and the arrays that are drawn in it.
Drawing: TypeAlias = tuple[Figure, dict[str, np.ndarray]]


class NoDataError(Exception):
    """There is nothing to draw yet; the message says what is missing."""


def by_variant(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their variants, in the order of the legend, by seed."""
    found = style.order({run.variant for run in runs})
    return {
        name: sorted((run for run in runs if run.variant == name), key=lambda run: run.seed)
        for name in found
    }


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Runs by variant, in the order of the legend, then by seed."""
    return [run for group in by_variant(runs).values() for run in group]


def require(runs: Sequence[Run], keep: Callable[[Run], object], missing: str) -> list[Run]:
    """The runs to keep; `NoDataError` saying what is missing if there are none."""
    kept = [run for run in runs if keep(run)]
    if not kept:
        raise NoDataError(missing)
    return kept


def with_looks(runs: Sequence[Run]) -> list[Run]:
    """The runs whose inverse was looked at, at any step."""
    return require(runs, lambda run: run.looks, "nobody looked at an inverse yet")


def looked_at_end(runs: Sequence[Run]) -> list[Run]:
    """The finished runs whose inverse was looked at: an earlier look is no result of training."""
    return require(runs, lambda run: run.is_finished and run.looks, "no run is finished yet")


def trained(runs: Sequence[Run]) -> list[Run]:
    """The runs with a trained model: finished, and not by diverging."""
    return require(
        runs, lambda run: run.is_finished and run.status == "done", "no run is finished yet"
    )


def with_split(runs: Sequence[Run]) -> list[Run]:
    """The runs, all with looks, whose models split off latents on the way."""
    return require(runs, lambda run: len(run.last_look()["s_counts"]), "no model has a split")


def clipped_at_end(runs: Sequence[Run]) -> list[Run]:
    """The finished runs that were decoded under clips after training."""
    return require(
        runs,
        lambda run: run.is_finished and max(run.clippings, default=0) > 0,
        "no run is finished yet",
    )


def of_first_seed(runs: Sequence[Run]) -> tuple[int, dict[str, Run]]:
    """The lowest seed and its runs by variant."""
    seed = min(run.seed for run in runs)
    groups = by_variant([run for run in runs if run.seed == seed])
    return seed, {name: group[0] for name, group in groups.items()}


def most_layers(runs: Sequence[Run]) -> list[str]:
    """The layers of the run that takes the most flow steps."""
    return max((run.layers() for run in runs), key=lambda names: flow_steps(names)[-1])


def last_steps(series: Sequence[Collection[int]]) -> str:
    """``400 steps``, or ``120 to 400 steps`` where some of the series of steps end early."""
    steps = sorted({max(each) for each in series})
    return f"{steps[0]} to {steps[-1]} steps" if len(steps) > 1 else f"{steps[0]} steps"


def side_by_side(
    series: Sequence[Mapping[int, np.ndarray | float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Series as steps and ``(series, steps, ...)``; NaN where a series lacks a step."""
    steps = sorted({step for each in series for step in each})
    shape = next(np.shape(value) for each in series for value in each.values())
    missing = np.full(shape, np.nan)
    rows = [[np.asarray(each.get(step, missing), float) for step in steps] for each in series]
    return np.array(steps), np.array(rows)


def names_and_seeds(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """What the leading axis of a figure's arrays stands for."""
    return {
        "variants": np.array([run.variant for run in runs]),
        "seeds": np.array([run.seed for run in runs]),
    }


def per_run(name: str, runs: Sequence[Run], values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of different lengths, named like ``largest/control-seed0``."""
    return {f"{name}/{run.variant}-seed{run.seed}": value for run, value in zip(runs, values)}


def rows_of(runs: Sequence[Run], variant: str) -> np.ndarray:
    """The indices of a variant's runs."""
    return np.flatnonzero([run.variant == variant for run in runs])
