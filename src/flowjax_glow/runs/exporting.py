"""A trained run as a `Model`: what goes into its file beside the parameters."""

from collections.abc import Mapping
from typing import Any

from flowjax_glow.files import from_strict, read_json
from flowjax_glow.model import Model
from flowjax_glow.runs.experiment import to_json
from flowjax_glow.runs.load import Trained
from flowjax_glow.runs.results import load_run

#: Fields of an experiment that stand elsewhere in a model file.
_ELSEWHERE = ("model", "n_bits")

#: What of a stability report is kept: all but its tables.
_KEPT = (
    "verdict",
    "statement",
    "lost_below",
    "confidence",
    "layer",
    "reason",
    "measurements",
    "images",
    "count",
    "samples",
    "taus",
)


def model_of(trained: Trained, averaged: bool = False) -> Model:
    """The model of a run, or of a file, with what is known of its training.

    Args:
        averaged: takes the moving average of the parameters, as the commands do with --averaged.

    Raises:
        ValueError: if there is no average, or a file of the run is damaged.
    """
    told = to_json(trained.experiment)
    record = {
        "experiment": {name: value for name, value in told.items() if name not in _ELSEWHERE},
        "step": trained.step,
        "averaged": averaged,
        **({"classes": list(trained.classes)} if trained.classes else {}),
        **_held_out(trained, averaged),
    }
    return Model(
        trained.experiment.model,
        trained.parameters(averaged),
        trained.event_shape,
        trained.experiment.n_bits,
        record,
        _verdict(trained, averaged),
    )


def _held_out(trained: Trained, averaged: bool) -> dict[str, Any]:
    """The held-out bits/dim that the run measured at this step, if it did."""
    if not (trained.folder / "metrics.jsonl").is_file():
        return {}
    series = load_run(trained.folder).series("held_out_averaged" if averaged else "held_out")
    if trained.step not in series:
        return {}
    bits = from_strict(series[trained.step])
    return {"bits_per_dim": bits, "held_out_images": trained.experiment.held_out}


def _verdict(trained: Trained, averaged: bool) -> Mapping[str, Any] | None:
    """What the last full report about these parameters says; a fast one if there is no full one.

    It is of all classes. Reports of releases that did not note whose parameters they are about say
    so in their names.
    """
    found: dict[tuple[bool, float], dict[str, Any]] = {}
    for file in (trained.folder / "diagnosis").glob(f"*-{trained.step:06}*.json"):
        tier, _, options = file.stem.partition(f"-{trained.step:06}")
        if tier not in ("full", "fast"):
            continue
        report = read_json(file, {"verdict": str, "statement": str}) or {}
        of_average = report.get("averaged", options.endswith("-averaged"))
        if of_average == averaged and "label" not in report:
            found[tier == "full", file.stat().st_mtime] = report
    if not found:
        return None
    report = found[max(found)]
    return from_strict({name: report[name] for name in _KEPT if name in report})
