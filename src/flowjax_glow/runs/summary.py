"""summary.json: the numbers of the final table, from what a run has written."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from flowjax_glow.diagnostics import median_slope
from flowjax_glow.diagnostics.thresholds import LIMIT, LOST
from flowjax_glow.runs.experiment import read_config
from flowjax_glow.training import read_metrics


def summarize(folder: Path) -> dict[str, Any]:
    """The summary of a run folder.

    A run that diverged has no trained model: of it there are losses alone.
    """
    experiment = read_config(folder)
    status = json.loads((folder / "status.json").read_text())
    metrics = read_metrics(folder / "metrics.jsonl")
    trained = status["status"] == "done"
    held_out = {
        "bits_per_dim": _last(metrics, "held_out"),
        "bits_per_dim_averaged": _last(metrics, "held_out_averaged"),
    }
    return {
        "variant": experiment.variant,
        "seed": experiment.seed,
        "status": status["status"],
        "steps": status["step"],
        "seconds_total": status["seconds"],
        "window_loss": _last(metrics, "window_loss"),
        "loss_slope": _slope(metrics),
        **(held_out | _look(folder) | _clip_hits(folder) if trained else {}),
    }


def _last(metrics: list[dict[str, Any]], field: str) -> Any:
    return next((row[field] for row in reversed(metrics) if field in row), None)


def _slope(metrics: list[dict[str, Any]]) -> float | None:
    """Theil and Sen's slope of the window losses, bits/dim per 100 steps; None below two."""
    windows = [(row["step"], row["window_loss"]) for row in metrics if "window_loss" in row]
    if len(windows) < 2:
        return None
    return 100 * median_slope(*zip(*windows))


def _latest(folder: Path, kind: str) -> dict[str, np.ndarray] | None:
    """The arrays of the last look; None before the first."""
    paths = sorted((folder / "arrays").glob(f"{kind}-*.npz"))
    if not paths:
        return None
    with np.load(paths[-1], allow_pickle=False) as arrays:
        return dict(arrays)


def _look(folder: Path) -> dict[str, Any]:
    look = _latest(folder, "look")
    if look is None:
        return {}
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


def _clip_hits(folder: Path) -> dict[str, Any]:
    clipping = _latest(folder, "clipping")
    if clipping is None:
        return {}
    row = int(np.flatnonzero(clipping["clips"] == LIMIT)[0])
    zero = clipping["zero_first_over"][row] >= 0
    return {
        "clip_hits": {
            "z=0": float(zero),
            "tau=1": float(clipping["sample_hit"][row].mean()),
            "images": float(clipping["reconstruction_hit"][row].mean()),
        }
    }
