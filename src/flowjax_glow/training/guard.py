"""A way out for training by inversion: another step, once the inverse is not good enough."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from flowjax_glow.training.metrics import Row
from flowjax_glow.training.observer import Observer
from flowjax_glow.training.state import TrainState
from flowjax_glow.training.step import StepFn
from flowjax_glow.training.types import Batch, Metrics

#: Relative L2 error of a level's reconstructed input. Rounding leaves 1e-6 at depth 32; gradients
#: are a few ten times as far off as the input, so here they are still good to a tenth.
DRIFT_TOLERANCE = 1e-3


class DriftGuard(Observer):
    """Trains with `inverting` while the inverse holds and with another step from then on.

    It is a step, and an `Observer` of `train`: the drift is measured where it is shown the state,
    off the hot path. Once a level's drift is above the tolerance, or not a number, the guard warns,
    naming the level, and hands over for good. The metrics record it, so that a resumed run does as
    the uninterrupted one.

    Args:
        inverting: the step whose gradients rest on the inverse.
        steady: makes the one that takes over; called when it is needed.
        measure: the drift of every level, as `diagnostics.drift` gives it on a fixed batch.
        tolerance: of the drift.
    """

    def __init__(
        self,
        inverting: StepFn,
        steady: Callable[[], StepFn],
        measure: Callable[[TrainState], Float[Array, " levels"]],
        tolerance: float = DRIFT_TOLERANCE,
    ) -> None:
        self._step = inverting
        self._steady = steady
        self._measure = measure
        self._tolerance = tolerance
        self._handed_over = False

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        return self._step(state, batch)

    def observe(self, state: TrainState) -> dict[str, Any] | None:
        """Measures; a row ``{"drift": [...], "drifted": bool}``, or None after handing over."""
        if self._handed_over:
            return None
        drift = [float(value) for value in jax.device_get(self._measure(state))]
        worst = int(np.argmax(np.nan_to_num(drift, nan=np.inf)))
        drifted = not drift[worst] <= self._tolerance
        if drifted:
            self._hand_over()
            warnings.warn(
                f"step {int(state.step)}: level {worst} gives its input back with a relative error "
                f"of {drift[worst]:.1e}, above {self._tolerance:g}; from here on gradients are "
                "taken without its inverse",
                stacklevel=2,
            )
        return {"drift": drift, "drifted": drifted}

    def resume(self, rows: Sequence[Row]) -> None:
        """Hands over if `rows` tell that the run had done so."""
        if any(row.get("drifted") for row in rows):
            self._hand_over()

    def _hand_over(self) -> None:
        self._handed_over = True
        self._step = self._steady()
