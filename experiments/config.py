"""Experiments as JSON and back, and what differs between two of them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from experiments.presets import Experiment
from flowjax_glow import scales
from flowjax_glow.errors import expected
from flowjax_glow.glow import GlowConfig
from flowjax_glow.glowip import GlowIPConfig
from flowjax_glow.training import OptimizerConfig

#: A run goes on under these changes: more steps train on, but under a cosine schedule, which ends
#: at the last planned one; and the rest says only how often or how much is looked at and saved.
FREE_TO_CHANGE = (
    "steps",
    "look_every",
    "look_samples",
    "final_samples",
    "clip_samples",
    "chunk",
    "save_every",
    "watch_every",
)

#: Fields of a model that hold a scale.
_SCALES = frozenset({"scale", "prior_scale"})

#: Configurations of a model by the name in `model.type`; one without is a `GlowConfig`.
_MODELS = {kind.__name__: kind for kind in (GlowConfig, GlowIPConfig)}


def to_json(experiment: Experiment) -> dict[str, Any]:
    """Plain JSON of an experiment; models and scales are `{"type": class name, ...its fields}`."""
    fields = dataclasses.asdict(experiment)
    fields["model"] = {"type": type(experiment.model).__name__, **fields["model"]}
    for name in _SCALES:
        kind = type(getattr(experiment.model, name)).__name__
        fields["model"][name] = {"type": kind, **fields["model"][name]}
    return fields


def from_json(fields: dict[str, Any]) -> Experiment:
    """The experiment that `to_json` wrote, perhaps before a field was added that has a default."""
    model = dict(fields["model"])
    name = model.pop("type", GlowConfig.__name__)
    if name not in _MODELS:
        raise expected(
            "config.json, model.type",
            f"one of {', '.join(_MODELS)}",
            got=repr(name),
            advice="read it with the version that wrote it",
        )
    for field in _SCALES & model.keys():
        constants = dict(model[field])
        model[field] = getattr(scales, constants.pop("type"))(**constants)
    return Experiment(
        **{
            **fields,
            "model": _MODELS[name](**model),
            "optimizer": OptimizerConfig(**fields["optimizer"]),
        }
    )


def read_config(folder: Path) -> Experiment:
    """The experiment of a run folder."""
    return from_json(json.loads((folder / "config.json").read_text()))


def differences(old: Experiment, new: Experiment) -> list[str]:
    """`field: old -> new` for every field that a run cannot go on with."""
    before, after = _flat(to_json(old)), _flat(to_json(new))
    changed = [
        f"{name}: {before.get(name)} -> {after.get(name)}"
        for name in sorted({*before, *after})
        if name not in FREE_TO_CHANGE and before.get(name) != after.get(name)
    ]
    if old.steps != new.steps and "cosine" in (old.optimizer.schedule, new.optimizer.schedule):
        changed.append(
            f"steps: {old.steps} -> {new.steps} (a cosine schedule ends at the last planned step, "
            "so more steps are another schedule from the first on)"
        )
    return changed


def _flat(fields: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
