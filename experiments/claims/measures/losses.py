"""Losses of a variant minus those of the control of the same seed, in bits/dim."""

import math
from typing import Literal

from experiments.claims.statistics import mean
from flowjax_glow.runs.results import Run


def late_loss_difference(variant: Run, control: Run) -> float | None:
    """Mean difference of the window losses over the last third of the common windows."""
    return _loss_difference(variant, control, "late")


def run_loss_difference(variant: Run, control: Run) -> float | None:
    """Mean difference of the window losses over all common windows but the first."""
    return _loss_difference(variant, control, "run")


def held_out_difference(variant: Run, control: Run) -> float | None:
    """Difference of the held-out bits/dim of the raw weights."""
    ours, theirs = ((run.summary or {}).get("bits_per_dim") for run in (variant, control))
    return None if ours is None or theirs is None else _known(ours - theirs)


def _loss_difference(variant: Run, control: Run, part: Literal["late", "run"]) -> float | None:
    diverged = [math.inf if run.status == "diverged" else 0.0 for run in (variant, control)]
    if any(diverged):
        return _known(diverged[0] - diverged[1])
    ours, theirs = _window_losses(variant), _window_losses(control)
    steps = sorted(ours.keys() & theirs.keys())
    chosen = steps[-max(1, len(steps) // 3) :] if part == "late" else steps[1:]
    return _known(mean(ours[step] - theirs[step] for step in chosen))


def _window_losses(run: Run) -> dict[int, float]:
    losses = {row["step"]: row["window_loss"] for row in run.metrics if "window_loss" in row}
    return {step: math.inf if math.isnan(loss) else loss for step, loss in losses.items()}


def _known(value: float) -> float | None:
    """None for NaN, the difference of two infinities or the mean of nothing."""
    return None if math.isnan(value) else float(value)
