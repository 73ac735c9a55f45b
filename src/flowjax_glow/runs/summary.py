"""summary.json: the numbers of the final table, from what a run has written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow.diagnostics import median_slope
from flowjax_glow.diagnostics.thresholds import LIMIT, LOST
from flowjax_glow.errors import expected
from flowjax_glow.runs.folder import read_status
from flowjax_glow.runs.results import Run, load_run


def summarize(folder: Path) -> dict[str, Any]:
    """The summary of a run folder.

    A run that diverged has no trained model: of it there are losses alone.
    """
    run, status = load_run(folder), read_status(folder)
    if status is None or not {"step", "seconds"} <= status.keys():
        raise expected(
            f"{folder / 'status.json'}", "a step and seconds", got=status, advice="train the run"
        )
    trained = status["status"] == "done"
    held_out = {
        "bits_per_dim": _last(run, "held_out"),
        "bits_per_dim_averaged": _last(run, "held_out_averaged"),
    }
    return {
        "variant": run.variant,
        "seed": run.seed,
        "status": status["status"],
        "steps": status["step"],
        "seconds_total": status["seconds"],
        "window_loss": _last(run, "window_loss"),
        "loss_slope": _slope(run),
        **(held_out | _look(run) | _clip_hits(run) if trained else {}),
    }


def share_lost(summary: Mapping[str, Any], temperature: float = 1.0) -> float:
    """The share of samples at a noise level that did not come back, of a run that is done."""
    return float(summary["broken"][f"{temperature:g}"])  # the name is that of the first releases


def _last(run: Run, field: str) -> Any:
    return next(reversed(run.series(field).values()), None)


def _slope(run: Run) -> float | None:
    """Theil and Sen's slope of the window losses, bits/dim per 100 steps; None below two."""
    losses = run.window_losses()
    return 100 * median_slope(*zip(*losses.items())) if len(losses) > 1 else None


def _look(run: Run) -> dict[str, Any]:
    if not run.looks:
        return {}
    look = run.last_look()
    taus = [f"{tau:g}" for tau in look["taus"]]
    broken = ~(look["z_error"] <= LOST)
    return {
        "x_error": float(look["x_error"].max()),
        "bit_exact": float(look["bit_exact"].mean()),
        "z_error": dict(zip(taus, look["z_error"].max(1).tolist())),
        "broken": dict(zip(taus, broken.mean(1).tolist())),
        "max_activation": dict(zip(taus, look["max_activation"].max(1).tolist())),
        "critical_temperature": float(look["critical_temperature"]),
        "min_s": float(np.exp(np.nanmin(look["min_log_s"]))),
    }


def _clip_hits(run: Run) -> dict[str, Any]:
    if not run.clippings:
        return {}
    clipping = run.last_clipping()
    row = int(np.flatnonzero(clipping["clips"] == LIMIT)[0])
    zero = clipping["zero_first_over"][row] >= 0
    return {
        "clip_hits": {
            "z=0": float(zero),
            "tau=1": float(clipping["sample_hit"][row].mean()),
            "images": float(clipping["reconstruction_hit"][row].mean()),
        }
    }
