"""Where in a run a measure looks, and how samples are counted."""

from collections.abc import Mapping

import numpy as np

from experiments.claims.statistics import Count
from flowjax_glow.runs.results import Arrays, Run


def after(by_step: Mapping[int, Arrays]) -> Arrays | None:
    """The arrays of the last step; None if there are none but those before training."""
    last = max(by_step, default=0)
    return by_step[last] if last > 0 else None


def at_tau(run: Run, tau: float) -> tuple[Arrays, int] | tuple[None, None]:
    """The last look and its row of noise level `tau`."""
    arrays = after(run.looks)
    rows = [] if arrays is None else np.flatnonzero(np.isclose(arrays["taus"], tau))
    return (arrays, int(rows[0])) if arrays is not None and len(rows) else (None, None)


def above(values: np.ndarray, limit: float) -> Count:
    """Samples (the last axis) above `limit` anywhere along the other; NaN counts as above."""
    samples = ~(np.atleast_2d(values) <= limit)
    hit = samples.any(axis=0)
    return Count(int(hit.sum()), hit.size)
