"""The scales s of the first flow step after a split, as figure 3 shows them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from experiments.figures.panels import logarithmic
from flowjax_glow.runs.results import Arrays, Run

#: Enough to see a shape, few enough to see a tail through the noise.
_BINS_SHOWN = 60

#: Scales of any smaller size are drawn here.
FLOOR = 1e-8


def default_place(arrays: Arrays) -> int:
    """The deepest place: the first flow step that fresh noise meets in generation order."""
    return len(arrays["s_counts"]) - 1


def pooled_counts(files: Sequence[Arrays]) -> np.ndarray:
    """Counts (taus + 1, bins) of all files; the last row is on latents of data."""
    return np.sum([arrays["s_counts"][default_place(arrays)] for arrays in files], axis=0)


def no_spread(files: Sequence[Arrays]) -> bool:
    """Whether s is 1 wherever it was met."""
    tails = [arrays["s_quantiles"][default_place(arrays)] for arrays in files]
    lowest = [arrays["s_min"][default_place(arrays)] for arrays in files]
    return all(np.all(values == 1) for values in (*tails, *lowest))


def density(counts: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Densities (rows, bins) over the bins in use, merged to a number that can be seen, and edges.

    Bins without a count are NaN: they have no place on a logarithmic axis.
    """
    used = np.flatnonzero(counts.any(0))
    first, stop = used[0], used[-1] + 1
    step = max(1, (stop - first) // _BINS_SHOWN)
    starts = np.arange(first, stop, step)
    merged = np.add.reduceat(counts[:, :stop], starts, axis=1)
    edges = edges[[*starts, stop]]
    total = np.maximum(counts.sum(1, keepdims=True), 1)
    return np.where(merged > 0, merged / (total * np.diff(edges)), np.nan), edges


def level_name(run: Run) -> str:
    """Where the default place is, for a note."""
    arrays = run.looks[max(run.looks)]
    return f"level {default_place(arrays)}"


def on_floor(axes: Axes, lowest: float) -> None:
    """A logarithmic axis of s that ends at `FLOOR`, or above where all values are."""
    logarithmic(axes)
    axes.set_ylim(max(lowest, FLOOR) / 1.5, 2.0)
    for line in axes.get_lines():
        line.set_ydata(np.maximum(line.get_ydata(), FLOOR))
